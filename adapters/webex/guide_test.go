package webex

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/operation"
	"tandem/core/outbound"
)

//go:generate go test -count=1 -run=^TestConnectGuide$ . -write

var write = flag.Bool("write", false, "write the tables of CONNECT.md anew")

// when says what each cause is, for authors of flows.
var when = map[cause]string{
	causeDone:           "done",
	causeInsufficient:   "the position is known, and too few contacts were answered lately to say how long it takes: `estimatedWaitTime` is -1 or absent",
	causeAccepted:       "the call was taken; not the last word",
	causeCreated:        "a new conversation and its task were made",
	causeReopened:       "the conversation was opened again, with a new task",
	causeAppended:       "the message went to the open task of the conversation",
	causeInvalid:        "a field is missing, too long or of the wrong form, or the body is too large",
	causeChoice:         "the address names no node, or none of its methods",
	causeUnauthorized:   "the key is wrong (401) or its user may not do this (403); or the node has no valid authorization, or Webex refuses it",
	causeTimeout:        "there was no last word in time",
	causeUpstream:       "Webex could not be reached, failed, asked for patience, or said what nobody understands",
	causeInternal:       "a fault of the hub",
	causeUnavailable:    "the hub can take nothing just now (status 503 and `Retry-After`)",
	causeThrottled:      "too many calls",
	causeLimit:          "too many tasks are open",
	causeUnknown:        "there is no such task",
	causeState:          "the task is in a state that does not allow it, or Webex has failed to do it",
	causeAppending:      "the message did not reach the open task",
	causeRefusedForm:    "Webex answered 400 or 413",
	causeRefusedContent: "Webex answered 422",
	causeRefusedAccess:  "Webex answered 403",
	causeRefusedUnknown: "Webex answered 404",
	causeRefusedState:   "Webex answered 409, 410 or 412",
	causeNever:          "listed by the vendor, who does not say when; the hub does not answer it",
}

// whenInVersion is when for the words of versions: those count once the body is
// read, and nobody reads the body of a caller whose key is refused.
func whenInVersion(why cause) string {
	if why == causeUnauthorized {
		return "the key's user may not do this with the task or the service (403); or the node has no valid authorization, or Webex refuses it"
	}
	return when[why]
}

// outcomesOf lists the words of a method and what they mean, those that are not
// the same everywhere.
func outcomesOf(m *method, version string) (words []string, reasons map[string][]string) {
	reasons = map[string][]string{}
	for why := causeDone; why <= causeNever; why++ {
		word := m.outcome(version, why)
		if !m.knows(version, why) || word == generic[why] {
			continue
		}
		if reasons[word] == nil {
			words = append(words, word)
		}
		reasons[word] = append(reasons[word], when[why])
	}
	return words, reasons
}

func guideOfNodes() string {
	var b strings.Builder
	for i := range methods {
		m := &methods[i]
		fmt.Fprintf(&b, "### %s: %s\n\n`POST /webex/v1/nodes/%s/%s`", m.NodeTitle, m.Title, m.Node, m.Name)
		fmt.Fprintf(&b, ", versions %s", strings.Join(m.Versions, ", "))
		if m.Async {
			b.WriteString(", takes a `webhookUrl`")
		}
		b.WriteString(".\n\n")
		if m.Outputs != nil {
			fmt.Fprintf(&b, "Outputs: `%s`.\n\n", strings.Join(m.Outputs, "`, `"))
		}
		b.WriteString(tableOfFields(m.Fields))
		b.WriteString("\n| outcome | when |\n|---|---|\n")
		words, reasons := outcomesOf(m, "")
		for _, word := range words {
			fmt.Fprintf(&b, "| `%s` | %s |\n", word, strings.Join(reasons[word], "; "))
		}
		for _, v := range m.Variants {
			fmt.Fprintf(&b, "\nIn the versions %s:\n\n| outcome | when |\n|---|---|\n", strings.Join(v.Versions, ", "))
			words, reasons := map[string][]string{}, []string{}
			for why := causeDone; why <= causeNever; why++ {
				if _, ok := v.Words[why]; ok {
					word := m.outcome(v.Versions[0], why)
					if words[word] == nil {
						reasons = append(reasons, word)
					}
					words[word] = append(words[word], whenInVersion(why))
				}
			}
			for _, word := range reasons {
				fmt.Fprintf(&b, "| `%s` | %s |\n", word, strings.Join(words[word], "; "))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func tableOfFields(names []string) string {
	var b strings.Builder
	b.WriteString("| field | form |\n|---|---|\n")
	for _, name := range names {
		plain, required := strings.CutSuffix(name, "*")
		star := ""
		if required {
			star = " *"
		}
		fmt.Fprintf(&b, "| `%s`%s | %s |\n", plain, star, cmp.Or(fields[plain].help, "text"))
	}
	return b.String()
}

func guideOfGeneric() string {
	var b strings.Builder
	b.WriteString("| outcome | when |\n|---|---|\n")
	for why := causeInvalid; why <= causeUpstream; why++ {
		fmt.Fprintf(&b, "| `%s` | %s |\n", generic[why], when[why])
	}
	return b.String()
}

func guideOfDetails() string {
	var b strings.Builder
	b.WriteString("| channel | keys |\n|---|---|\n")
	for _, medium := range mediaChannels {
		keys, ok := channels[medium.Wire]
		if !ok {
			continue
		}
		var list []string
		for _, key := range keys.Mandatory {
			text := "`" + key + "`"
			if key == keys.Customer || key == keys.Address || key == keys.Thread {
				text = "**" + text + "**"
			}
			list = append(list, text)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", medium.Page, strings.Join(list, ", "))
	}
	return b.String()
}

// The tables of the guide are those of the program. With -write they are made so.
func TestConnectGuide(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("CONNECT.md")
	require.NoError(t, err)
	guide := string(data)
	for name, text := range map[string]string{
		"generic": guideOfGeneric(), "common": tableOfFields(commonFields), "nodes": guideOfNodes(), "details": guideOfDetails(),
	} {
		begin := "<!-- generated: " + name + " -->\n"
		before, rest, ok := strings.Cut(guide, begin)
		require.True(t, ok, name)
		_, after, ok := strings.Cut(rest, "<!-- end -->")
		require.True(t, ok, name)
		guide = before + begin + "\n" + strings.TrimSpace(text) + "\n\n<!-- end -->" + after
	}
	if *write {
		require.NoError(t, os.WriteFile("CONNECT.md", []byte(guide), 0o600))
		return
	}
	require.Equal(t, guide, string(data), "run: make generate")
}

// What the guide says is so: its calls are read, its words and addresses exist.
func TestConnectGuideIsTrue(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("CONNECT.md")
	require.NoError(t, err)
	guide := string(data)

	calls := regexp.MustCompile(`(?s)/webex/v1/nodes/([a-z-]+/[a-z-]+) \\\n.*?-d '(.*?)'\n`).FindAllStringSubmatch(guide, -1)
	require.GreaterOrEqual(t, len(calls), 5)
	for _, c := range calls {
		_, err := decode(methodAt(t, c[1]), []byte(c[2]))
		require.NoError(t, err, c[2])
	}
	for _, c := range regexp.MustCompile(`/webex/v1/nodes/([a-z-]+/[a-z-]+)`).FindAllStringSubmatch(guide, -1) {
		methodAt(t, c[1])
	}
	for i := range methods {
		for _, word := range said(&methods[i]) {
			require.Contains(t, guide, "`"+word+"`")
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(eventKinds)) {
		require.Contains(t, guide, "`"+kind+"`")
	}
	require.Contains(t, guide, subscriptionPath+FlowSource)
	require.Contains(t, guide, fmt.Sprintf("within %d seconds", int(nodeTime.Seconds())))
	for _, code := range []string{codeTaskFailed, codeFairUse, codeUnknownMethod, operation.CodeUnreachable, operation.CodeRejected, outbound.CodeCircuitOpen, outbound.CodeAuthorizationRequired, outbound.CodeUpstreamThrottled} {
		require.Contains(t, guide, "`"+code+"`")
	}
}
