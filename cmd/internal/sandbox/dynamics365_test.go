package sandbox

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/coretest"
)

func newEnvironment() *dynamics365 {
	return newDynamics365("http://dynamics.test", coretest.NewClock(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)))
}

func TestDynamics365Filters(t *testing.T) {
	t.Parallel()
	d := newEnvironment()
	for filter, want := range map[string]int{
		"lastname eq 'novak'":                                                     1, // case does not count
		"lastname eq 'O''Marino'":                                                 1,
		"lastname ne 'Novak'":                                                     3,
		"telephone1 ne null":                                                      2,
		"not (telephone1 eq null)":                                                2,
		"contains(emailaddress1,'NOVAK')":                                         1,
		"startswith(lastname,'B') or endswith(lastname,'oe')":                     2,
		"statecode eq 0 and (lastname eq 'Doe' or lastname eq 'Berger')":          2,
		"statecode eq 0 and lastname eq 'Doe' or lastname eq 'Berger'":            2,
		"statecode gt -1 and statecode lt 0.5 and statecode ge 0":                 4,
		"_parentcustomerid_value eq acc00000-0000-4000-8000-000000000001":         1,
		"createdon ge 2026-01-01T00:00:00Z and createdon le 2027-01-01T00:00:00Z": 4,
		"nothing eq 'x'":                                                          -1,
		"createdon ge '2026-01-01T00:00:00Z'":                                     -1, // nor is a time
		"statecode eq '0'":                                                        -1, // a number is no text
		"contactid eq 'c0000000-0000-4000-8000-000000000001'":                     -1,
		"lastname eq Novak":                                                       -1,
		"lastname eq 'Novak":                                                      -1,
		"lastname eq 'Novak' or":                                                  -1,
		"lastname 'Novak'":                                                        -1,
		"(lastname eq 'Novak'":                                                    -1,
		"lastname eq 'Novak') or (true":                                           -1,
		"contains(lastname 'x')":                                                  -1,
	} {
		status, _, out := ask(t, d, http.MethodGet, dynamicsPath+"contacts", url.Values{"$filter": {filter}}, nil)
		if want < 0 {
			require.Equal(t, 400, status, filter)
			require.NotEmpty(t, dig(out, "error", "message"), filter)
			continue
		}
		require.Equal(t, 200, status, "%s: %v", filter, out)
		require.Len(t, dig(out, "value"), want, filter)
	}
}

func TestDynamics365Records(t *testing.T) {
	t.Parallel()
	d := newEnvironment()
	do := func(method, at, header, value string, body any) (int, http.Header, any) {
		r, w := request(t, method, dynamicsPath+at, body)
		if header != "" {
			r.Header.Set(header, value)
		}
		require.True(t, d.serve(w, r, dynamicsPath+at))
		return answered(t, w)
	}
	const nobody = "contacts(00000000-0000-4000-8000-000000000000)"

	status, header, out := do(http.MethodPost, "contacts", "", "", map[string]any{"lastname": "Frei"})
	require.Equal(t, 204, status)
	require.Regexp(t, `^http://dynamics.test/api/data/v9.2/contacts\([0-9a-f-]{36}\)$`, header.Get("OData-EntityId"))
	require.Nil(t, out)
	status, header, out = do(http.MethodPost, "contacts", "Prefer", "return=representation", map[string]any{"lastname": "Frei"})
	require.Equal(t, 201, status)
	require.Empty(t, header.Get("OData-EntityId"), "never both")
	require.Equal(t, "Frei", dig(out, "fullname"))

	status, _, _ = do(http.MethodPatch, nobody, "If-Match", "*", map[string]any{"lastname": "Frei"})
	require.Equal(t, 404, status)
	status, _, _ = do(http.MethodPatch, "contacts("+milan+")", "If-Match", `W/"0"`, map[string]any{"lastname": "Frei"})
	require.Equal(t, 412, status)
	status, _, _ = do(http.MethodPatch, nobody, "", "", map[string]any{"lastname": "Frei"})
	require.Equal(t, 204, status)
	status, _, out = do(http.MethodGet, nobody, "", "", nil)
	require.Equal(t, 200, status, "a PATCH without If-Match makes the record")
	require.Equal(t, "Frei", dig(out, "lastname"))

	double := map[string]any{"lastname": "Doe", "emailaddress1": "JANE@doe.example"}
	status, _, _ = do(http.MethodPost, "contacts", "", "", double)
	require.Equal(t, 204, status, "duplicates are not looked for")
	status, _, out = do(http.MethodPost, "contacts", "MSCRM.SuppressDuplicateDetection", "false", double)
	require.Equal(t, 412, status)
	require.Equal(t, "0x80040333", dig(out, "error", "code"))

	for at, body := range map[string]map[string]any{
		"incidents":   {"title": "Of nobody"},
		"contacts":    {"nothing": "x"},
		"accounts":    {"name": "x", "revenue": "12"},
		"annotations": {"notetext": "x", "objectid@odata.bind": "/contacts(" + milan + ")"},
		"tasks":       {"subject": "x", "regardingobjectid_contact_phonecall@odata.bind": "/contacts(" + milan + ")"},
		"phonecalls":  {"subject": "x", "statecode": 1, "statuscode": 2},
	} {
		status, _, _ = do(http.MethodPost, at, "", "", body)
		require.Equal(t, 400, status, "%s %v", at, body)
	}
	party := func(mask int) map[string]any {
		return map[string]any{"phonecall_activity_parties": []any{map[string]any{
			"partyid_contact@odata.bind": "/contacts(" + milan + ")", "participationtypemask": mask,
		}}}
	}
	status, _, _ = do(http.MethodPost, "phonecalls", "", "", party(1))
	require.Equal(t, 204, status)
	status, _, _ = do(http.MethodPost, "phonecalls", "", "", party(3))
	require.Equal(t, 400, status)

	for at, want := range map[string]int{
		"nothings": 404, "contacts(x)": 404, "EntityDefinitions(LogicalName='nothing')": 404,
		"EntityDefinitions(LogicalName='contact')": 200, "contacts": 200, "contacts(" + milan + ")": 200,
	} {
		status, _, _ = do(http.MethodGet, at, "", "", nil)
		require.Equal(t, want, status, at)
	}
	status, _, _ = do(http.MethodDelete, "contacts", "", "", nil)
	require.Equal(t, 405, status)
	require.False(t, d.serve(nil, nil, "/api/other"))
}
