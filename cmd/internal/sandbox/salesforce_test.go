package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/coretest"
)

// ask sends a request to a CRM and returns status, header and answer.
func ask(t *testing.T, c crm, method, at string, query url.Values, body any) (int, http.Header, any) {
	t.Helper()
	data, err := json.Marshal(body)
	require.NoError(t, err)
	req := httptest.NewRequestWithContext(t.Context(), method, "/?"+query.Encode(), bytes.NewReader(data))
	w := httptest.NewRecorder()
	require.True(t, c.serve(w, req, at), at)
	var out any
	if w.Body.Len() > 0 {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	}
	return w.Code, w.Header(), out
}

func newOrg() *salesforce {
	return newSalesforce("http://127.0.0.1:1/salesforce", coretest.NewClock(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)))
}

func TestSalesforceQueries(t *testing.T) {
	t.Parallel()
	org := newOrg()
	for query, want := range map[string]any{
		`SELECT Id, Name FROM Contact WHERE LastName = 'O\'Hara'`:                                                            []string{"Jane O'Hara"},
		`SELECT Name FROM Contact WHERE Name LIKE '%100\% sure\_'`:                                                           []string{"Sam 100% Sure_"},
		`SELECT Name FROM Contact WHERE Name LIKE 'jane\_%'`:                                                                 []string{},
		`SELECT Name, Account.Name FROM Contact WHERE (LastName = 'Novak' OR LastName = 'x') AND Email != null LIMIT 1`:      []string{"Milan Novak"},
		`SELECT Name FROM Account ORDER BY Name DESC NULLS LAST LIMIT 1`:                                                     []string{"Novak Logistics"},
		`SELECT Name FROM Opportunity WHERE Amount >= 12500 AND CloseDate > 2026-01-01 AND StageName IN ('a','Prospecting')`: []string{"Novak fleet"},
		`SELECT Name FROM Opportunity WHERE CreatedDate > 2026-03-01T10:00:00Z`:                                              []string{},
		`SELECT Name FROM Contact WHERE LastName = 'O'Hara'`:                                                                 "MALFORMED_QUERY",
		`SELECT Name FROM Contact WHERE LastName = 'a\%'`:                                                                    "MALFORMED_QUERY",
		`SELECT Name FROM Contact WHERE LastName = 'x' OR`:                                                                   "INVALID_FIELD",
		`SELECT Name FROM Contact LIMIT 1; DELETE`:                                                                           "MALFORMED_QUERY",
		`SELECT Nme FROM Contact WHERE LastName = 'x'`:                                                                       "INVALID_FIELD",
		`SELECT Nme FROM Lead WHERE LastName = 'x'`:                                                                          "INVALID_FIELD",
		`SELECT Name FROM Contacts`:                                                                                          "INVALID_TYPE",
		`SELECT Name FROM Opportunity WHERE Amount > '5'`:                                                                    "INVALID_FIELD",
		`SELECT Name FROM Contact WHERE LastName = 5`:                                                                        "INVALID_FIELD",
	} {
		status, header, out := ask(t, org, http.MethodGet, "/services/data/v60.0/query", url.Values{"q": {query}}, nil)
		require.NotEmpty(t, header.Get("Sforce-Limit-Info"))
		checkRows(t, query, want, status, out, "records")
	}
}

func TestSalesforceSearches(t *testing.T) {
	t.Parallel()
	org := newOrg()
	for query, want := range map[string]any{
		`FIND {"\+41 44 555 12 34" OR "0445551234"} IN PHONE FIELDS RETURNING Contact(Id, Name LIMIT 10), Lead(Name)`: []string{"Jane O'Hara", "Lea Lane"},
		`FIND {"4155550100"} IN PHONE FIELDS RETURNING Contact(Id, Name), Account(Id, Name)`:                          []string{"Golden Gate Tours"},
		`FIND {Novak} IN NAME FIELDS RETURNING Contact(Name, Account.Name)`:                                           []string{"Milan Novak"},
		`FIND {"+41 44"} IN PHONE FIELDS RETURNING Contact(Name)`:                                                     "MALFORMED_SEARCH",
		`FIND {5} IN PHONE FIELDS RETURNING Contact(Name)`:                                                            "MALFORMED_SEARCH",
		`FIND {"a} b"} IN PHONE FIELDS RETURNING Contact(Name)`:                                                       "MALFORMED_SEARCH",
		`FIND {5555} IN PHONE FIELDS RETURNING Contact(Nme)`:                                                          "INVALID_FIELD",
		`FIND {5555} IN PHONE FIELDS RETURNING Custom(Name)`:                                                          "INVALID_TYPE",
	} {
		status, _, out := ask(t, org, http.MethodGet, "/services/data/v60.0/search", url.Values{"q": {query}}, nil)
		checkRows(t, query, want, status, out, "searchRecords")
	}
}

// checkRows compares the names of the rows, or the code of the refusal.
func checkRows(t *testing.T, query string, want any, status int, out any, key string) {
	t.Helper()
	code, refused := want.(string)
	if refused {
		require.Equal(t, http.StatusBadRequest, status, query)
		require.Equal(t, code, out.([]any)[0].(map[string]any)["errorCode"], query)
		return
	}
	require.Equal(t, http.StatusOK, status, "%s: %v", query, out)
	got := []string{}
	for _, row := range out.(map[string]any)[key].([]any) {
		got = append(got, row.(map[string]any)["Name"].(string))
	}
	require.Equal(t, want, got, query)
}

func TestSalesforceRecords(t *testing.T) {
	t.Parallel()
	org := newOrg()
	const sobjects = "/services/data/v60.0/sobjects/"
	status, header, out := ask(t, org, http.MethodPost, sobjects+"Case", nil, map[string]any{"Subject": "Broken"})
	require.Equal(t, http.StatusCreated, status)
	id := out.(map[string]any)["id"].(string)
	require.Regexp(t, sfID, id)
	require.Contains(t, header.Get("Location"), id)

	status, _, out = ask(t, org, http.MethodPatch, sobjects+"Case/"+id, nil, map[string]any{"Status": "Closed"})
	require.Equal(t, http.StatusNoContent, status)
	require.Nil(t, out)
	_, _, out = ask(t, org, http.MethodGet, sobjects+"Case/"+id, url.Values{"fields": {"CaseNumber,IsClosed"}}, nil)
	require.Equal(t, true, out.(map[string]any)["IsClosed"])

	for name, c := range map[string]struct {
		method, at string
		body       any
		status     int
		code       string
	}{
		"unknown record":  {http.MethodPatch, "Case/500000000000000AAA", map[string]any{"Subject": "x"}, 404, "NOT_FOUND"},
		"unknown object":  {http.MethodPost, "Nothing", map[string]any{"Subject": "x"}, 404, "NOT_FOUND"},
		"unknown field":   {http.MethodPost, "Case", map[string]any{"Subjekt": "x"}, 400, "INVALID_FIELD"},
		"own field":       {http.MethodPost, "Case", map[string]any{"CaseNumber": "1"}, 400, "INVALID_FIELD_FOR_INSERT_UPDATE"},
		"missing":         {http.MethodPost, "Lead", map[string]any{"LastName": "x"}, 400, "REQUIRED_FIELD_MISSING"},
		"no number":       {http.MethodPost, "Account", map[string]any{"Name": "x", "AnnualRevenue": "much"}, 400, "JSON_PARSER_ERROR"},
		"no id":           {http.MethodPost, "Case", map[string]any{"ContactId": "x"}, 400, "MALFORMED_ID"},
		"no object":       {http.MethodPost, "Case", []any{}, 400, "JSON_PARSER_ERROR"},
		"duplicate":       {http.MethodPost, "Contact", map[string]any{"LastName": "x", "Email": "jane@ohara.example"}, 400, "DUPLICATES_DETECTED"},
		"wrong method":    {http.MethodDelete, "Case/" + id, nil, 405, "METHOD_NOT_ALLOWED"},
		"fields of a get": {http.MethodGet, "Case/" + id + "/x", nil, 404, "NOT_FOUND"},
	} {
		status, _, out := ask(t, org, c.method, sobjects+c.at, nil, c.body)
		require.Equal(t, c.status, status, name)
		require.Equal(t, c.code, out.([]any)[0].(map[string]any)["errorCode"], name)
	}
}
