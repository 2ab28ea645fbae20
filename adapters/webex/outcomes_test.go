package webex

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func id0(m *method) string { return m.Node + "/" + m.Name }

// said returns all words that a method can answer with, in any version.
func said(m *method) []string {
	words := map[string]bool{}
	for _, version := range append([]string{""}, m.Versions...) {
		for why := causeDone; why <= causeNever; why++ {
			if m.knows(version, why) {
				words[m.outcome(version, why)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(words))
}

// knows tells whether a cause has a word of its own.
func (m *method) knows(version string, why cause) bool {
	for _, v := range m.Variants {
		if word, ok := v.Words[why]; ok && slices.Contains(v.Versions, version) {
			return word != ""
		}
	}
	return m.Words[why] != "" || generic[why] != ""
}

// published is a method in the machine-readable extract of the vendor's pages.
type published struct {
	Versions []string `json:"versions_doc"`
	Doc      []string `json:"outcomes_doc"`
	Canvas   []string `json:"outcomes_canvas"`
	Success  []string `json:"outcomes_doc_success"`
	Error    []string `json:"outcomes_doc_error"`
}

// labels are the names that the canvas shows for the ports of all nodes.
var labels = map[string]string{
	"oninvaliddata": "onInvalidData", "onerror": "onError", "oninvalidchoice": "onInvalidChoice", "ontimeout": "onTimeout",
}

func (p published) words() []string {
	words := map[string]bool{}
	for _, word := range slices.Concat(p.Doc, p.Canvas, p.Success, p.Error) {
		word, _, _ = strings.Cut(word, "(")
		if label, ok := labels[word]; ok {
			word = label
		}
		words[word] = true
	}
	return slices.Sorted(maps.Keys(words))
}

// ours are words that the vendor does not list for a method, and why they are
// answered all the same.
var ours = map[string]map[string]string{
	"piq-ewt/fetch": {"onauthorizationfail": "a node without a valid authorization says the same everywhere"},
}

// as names the method whose published outcomes stand for those of another that
// has none.
var as = map[string]string{
	"close-task/accept": "Close Task on WxCC",
	"close-task/reject": "Close Task on WxCC",
}

// Every word of the vendor is one of ours, and the other way round.
func TestOutcomesAreTheVendors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../../shared/contracts/webex-nodes.json")
	if os.IsNotExist(err) {
		t.Log("the vendor's contracts do not lie beside this checkout: the words are not compared with them")
		return
	}
	require.NoError(t, err)
	var contract struct {
		Nodes map[string]struct{ Methods map[string]published }
	}
	require.NoError(t, json.Unmarshal(data, &contract))
	count := 0
	for i := range methods {
		m := &methods[i]
		vendor, ok := contract.Nodes[m.NodeTitle].Methods[m.Title]
		require.True(t, ok, "%s / %s", m.NodeTitle, m.Title)
		count++
		for _, version := range vendor.Versions {
			require.Contains(t, m.Versions, strings.TrimPrefix(version, "v"), id0(m))
		}
		words := vendor.words()
		if other := as[id0(m)]; other != "" {
			require.Empty(t, words, "%s has outcomes of its own now", id0(m))
			words = contract.Nodes[m.NodeTitle].Methods[other].words()
		}
		require.NotEmpty(t, words, id0(m))
		for word := range ours[id0(m)] {
			require.NotContains(t, words, word, "no exception any more")
			words = append(words, word)
		}
		slices.Sort(words)
		require.Equal(t, words, said(m), id0(m))
	}
	for name, node := range contract.Nodes {
		count -= len(node.Methods)
		require.NotEmpty(t, node.Methods, name)
	}
	require.Zero(t, count, "methods that the hub does not have")
}

// The shipped list of nodes has the same nodes, methods and versions.
func TestMethodsAreMapped(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../mappings/webex/nodes.yaml")
	require.NoError(t, err)
	var file struct {
		Nodes []struct {
			Node, Title string
			Versions    []string
			Methods     []struct{ Method, Title string }
		}
	}
	require.NoError(t, yaml.Unmarshal(data, &file))
	count := 0
	for _, n := range file.Nodes {
		for _, listed := range n.Methods {
			m, ok := methodOf(n.Node, listed.Method)
			require.True(t, ok, "%s/%s", n.Node, listed.Method)
			require.Equal(t, n.Title, m.NodeTitle)
			require.Equal(t, listed.Title, m.Title)
			require.Equal(t, n.Versions, m.Versions, n.Node)
			count++
		}
	}
	require.Equal(t, len(methods), count)
	for _, served := range Methods() {
		count -= len(served)
	}
	require.Zero(t, count)
}

func TestOutcomesOfVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		node, method, version string
		why                   cause
		want                  string
	}{
		{"queue-task", "queue", "", causeUnauthorized, "onauthorizationfail"},
		{"queue-task", "queue", "1.5", causeUnauthorized, "onauthorizationfail"},
		{"queue-task", "queue", "1.3", causeUnauthorized, "onauthorizationfail"},
		{"queue-task", "queue", "1.2", causeUnauthorized, "onauthorizatonfail"},
		{"queue-task", "queue", "1.0", causeRefusedAccess, "onauthorizatonfail"},
		{"queue-task", "queue", "1.0", causeDone, "Queued"},
		{"screen-pop", "pop", "", causeDone, "onScreenPopSuccess"},
		{"screen-pop", "pop", "1.3", causeState, "onScreenPopFailure"},
		{"screen-pop", "pop", "1.2", causeUnavailable, "serviceUnavailable"},
		{"screen-pop", "pop", "1.2", causeInternal, "onError"},
		{"screen-pop", "pop", "1.1", causeDone, "onScreenpopSuccess"},
		{"screen-pop", "pop", "1.0", causeUnknown, "onScreenpopFailure"},
		{"screen-pop", "pop", "1.0", causeUnavailable, "onError"},
		{"screen-pop", "pop", "1.1", causeInternal, "Error"},
		{"create-task", "create", "1.0", causeDone, "created"},
		{"set-variable", "global", "1.7", causeDone, "Task Updated"},
		{"piq-ewt", "fetch", "1.1", causeInsufficient, "InsufficientData"},
		{"resolve-conversation", "resolve", "1.2", causeAccepted, "accepted"},
		{"resolve-conversation", "resolve", "", causeReopened, "reopened"},
		{"modify-notification", "reject", "", causeDone, "onModifiedRejectSuccess"},
	} {
		m, ok := methodOf(c.node, c.method)
		require.True(t, ok)
		require.Equal(t, c.want, m.outcome(c.version, c.why), "%s %s", id0(m), c.version)
	}
	_, ok := methodOf("create-task", "delete")
	require.False(t, ok)
	_, ok = methodOf("nothing", "create")
	require.False(t, ok)
	require.Equal(t, "onInvalidChoice", unknownMethod().Outcome)
}
