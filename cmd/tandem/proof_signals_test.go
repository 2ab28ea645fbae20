package main_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
)

// TestOperatorsHearOfConnections: what becomes of authorizations and upstreams
// stands in the figures, in the answer about readiness, and in the log.
func TestOperatorsHearOfConnections(t *testing.T) {
	t.Parallel()
	vendors, err := sandbox.NewVendors(core.SystemClock{})
	require.NoError(t, err)
	t.Cleanup(vendors.Close)
	r := newRig(t, "", "TANDEM_MASTER_KEY="+testKey)
	r.integrations(t, vendors, vendors.Addr())
	h := r.start(t)
	v := &visitor{t: t, base: h.URL, jar: map[string]string{}, shown: &strings.Builder{}}
	token, err := r.Run(t.Context(), "setup-token", "--tenant", tenant)
	require.NoError(t, err)
	settle(t, v, map[string]string{"setup token": strings.TrimSpace(token), "admin password": "a password of hers", "other password": "another password"})

	metric := func(line string) {
		t.Helper()
		body := call(t, "", http.MethodGet, h.Admin+"/metrics", "").body
		require.Contains(t, strings.Split(body, "\n"), line)
	}
	notes := func() map[string]string {
		t.Helper()
		all := map[string]string{}
		for _, c := range get[struct {
			Checks []struct{ Name, Message string }
		}](t, "", h.Admin+"/readyz").Checks {
			all[c.Name] = c.Message
		}
		return all
	}

	res := v.ask(http.MethodPost, "/console/integrations/salesforce/authorizations", url.Values{
		"grant": {"sign-in"}, "name": {"Production"}, "v.domain": {"proof"}, "v.client_id": {"3MVG9sandboxclient"}, "v.client_secret": {"a secret"},
	})
	require.Equal(t, http.StatusSeeOther, res.StatusCode, text(t, res))
	one := strings.TrimPrefix(res.Header.Get("Location"), v.base)
	authorize := func() {
		t.Helper()
		require.Equal(t, http.StatusSeeOther, v.ask(http.MethodGet, v.signInAtProvider(one).String(), nil).StatusCode)
		metric(`tandem_authorizations{integration="salesforce",status="authorized"} 1`)
		require.Equal(t, "none needs attention", notes()["authorizations"])
	}
	check := func() {
		t.Helper()
		require.Equal(t, http.StatusSeeOther, v.ask(http.MethodPost, one+"/check", url.Values{}).StatusCode)
	}
	authorize()

	// The provider takes the authorization away.
	vendors.Auth("salesforce").RevokeAll()
	check()
	metric(`tandem_authorizations{integration="salesforce",status="reauthorize"} 1`)
	metric(`tandem_authorization_changes_total{integration="salesforce",status="reauthorize"} 1`)
	require.Equal(t, "salesforce: 1 reauthorize", notes()["authorizations"])
	require.Equal(t, "all closed", notes()["breakers"], "a provider that answers is well")
	authorize()

	// The vendor is gone.
	vendors.Close()
	for range 5 { // each is a failure or more
		check()
	}
	metric(`tandem_breakers{integration="salesforce",state="open"} 1`)
	require.Equal(t, "salesforce: 1 open", notes()["breakers"])
	page := text(t, v.ask(http.MethodGet, "/console/breakers", nil))
	require.Contains(t, page, vendors.Addr())
	require.Contains(t, page, "1 host is in trouble")

	require.NoError(t, h.Stop(15*time.Second))
	refused := warning(t, h, "authorization is refused by its provider and must be granted again")
	require.Equal(t, []any{tenant, "salesforce", "Production"}, []any{refused["tenant"], refused["integration"], refused["name"]})
	require.Contains(t, refused["reason"], "invalid_grant")
	opened := warning(t, h, "circuit breaker changed")
	require.Equal(t, []any{"open", vendors.Addr(), tenant}, []any{opened["state"], opened["host"], opened["tenant"]})
	require.Equal(t, []any{"salesforce"}, opened["integrations"])
}

// warning returns the one line of a hub's log that warns of something.
func warning(t *testing.T, h *sandbox.Hub, message string) map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(h.Log()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
			found = append(found, fields)
		}
	}
	require.Len(t, found, 1, message)
	require.Equal(t, "WARN", found[0]["level"])
	return found[0]
}
