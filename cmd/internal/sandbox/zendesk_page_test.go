package sandbox

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

// TestZendeskPage: a link to a ticket, as screen pops carry it, opens without a
// credential.
func TestZendeskPage(t *testing.T) {
	t.Parallel()
	v, err := NewVendors(core.SystemClock{})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	for id, want := range map[string]struct {
		status int
		text   string
	}{
		"900000000006": {http.StatusOK, "Pallet is late"},
		"1":            {http.StatusNotFound, "no such ticket"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.prefix("zendesk")+"/agent/tickets/"+id, nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want.status, res.StatusCode)
		require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
		require.Contains(t, string(body), want.text)
	}
}
