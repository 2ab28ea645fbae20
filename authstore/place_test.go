package authstore

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/integration"
)

// A secret was entered for certain hosts. Neither an edited mapping file nor an
// edited setting may send it to others.
func TestSecretsStayWithTheirHosts(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		var calls atomic.Int64
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
		t.Cleanup(other.Close)
		elsewhere := strings.TrimPrefix(other.URL, "http://")
		for _, grant := range []string{"sign-in", "machine"} {
			h.enforce(t, acmeFile)
			a := h.authorized(t, grant, "Main "+grant)
			for _, moved := range []string{
				strings.ReplaceAll(acmeFile, "token: http://AT/", "token: http://"+elsewhere+"/"),
				strings.ReplaceAll(acmeFile, "http://AT/", "http://"+elsewhere+"/"),
			} {
				h.enforce(t, moved)
				h.clock.Advance(400 * 24 * time.Hour) // the token has ended
				_, _, err := h.call(t, named(a.Name))
				require.Error(t, err)
				require.Equal(t, integration.Authorized, h.get(t, a.ID).Status)

				kept := draft(grant, a.Name)
				kept.Values["client_secret"] = ""
				_, err = h.Update(t.Context(), tenant, admin, a.ID, kept)
				require.Equal(t, core.Invalid, core.KindOf(err))
				require.ErrorContains(t, err, "enter the secrets again")
			}
			require.Zero(t, calls.Load())
			_, err := h.Update(t.Context(), tenant, admin, a.ID, draft(grant, a.Name))
			require.NoError(t, err, "entered again, they are for the new hosts")
		}
	})
}

// A name that mapping files know is not taken away.
func TestRenameWhatIsUsed(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.add(t, draft("machine", "pinned"))
		_, err := h.Update(t.Context(), tenant, admin, a.ID, draft("machine", "Other"))
		require.Equal(t, core.Invalid, core.KindOf(err))
		require.ErrorContains(t, err, "webex/nodes.yaml:3")
		_, err = h.Update(t.Context(), tenant, admin, a.ID, draft("machine", "PINNED"))
		require.NoError(t, err)
	})
}
