package sandbox

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServiceNowTable(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	k := &keyring{town: w}
	find := func(table, query string, more ...string) (int, []any) {
		values := url.Values{"sysparm_query": {query}, "sysparm_exclude_reference_link": {"true"}}
		for i := 0; i+1 < len(more); i += 2 {
			values.Set(more[i], more[i+1])
		}
		status, _, out := w.api(k, "servicenow", http.MethodGet, "/api/now/"+table+"?"+values.Encode(), nil)
		list, _ := out.(map[string]any)["result"].([]any)
		return status, list
	}
	for _, c := range []struct {
		name, table, query string
		status, found      int
	}{
		{"a number in any column", "v2/table/customer_contact", "phone=061 555 01 02^ORmobile_phone=061 555 01 02", 200, 1},
		{"nothing, version 2", "v2/table/customer_contact", "phone=1", 200, 0},
		{"nothing, version 1", "table/customer_contact", "phone=1", 404, 0},
		{"an invalid column finds everything", "v2/table/customer_contact", "fone=1", 200, 2},
		{"an invalid part is left out", "v2/table/customer_contact", "fone=1^emailSTARTSWITHmilan", 200, 1},
		{"users are contacts too", "v2/table/sys_user", "emailLIKEnovak", 200, 1},
		{"a list", "v2/table/csm_consumer", "business_phoneIN1,+41 91 555 01 03", 200, 1},
		{"no such table", "v2/table/nothing", "", 400, 0},
	} {
		status, list := find(c.table, c.query)
		require.Equal(t, c.status, status, c.name)
		require.Len(t, list, c.found, c.name)
	}
	_, list := find("v2/table/customer_contact", "user_name=C-1002", "sysparm_fields", "name,account,nothing", "sysparm_display_value", "all")
	require.Equal(t, "Milan Novak", list[0].(map[string]any)["name"].(map[string]any)["value"])
	require.Equal(t, "Novak Logistics", list[0].(map[string]any)["account"].(map[string]any)["display_value"])
	require.Len(t, list[0], 2)
	status, header, _ := w.api(k, "servicenow", http.MethodGet, "/api/now/v2/table/csm_consumer?sysparm_limit=1", nil)
	require.Equal(t, 200, status)
	require.Equal(t, "2", header.Get("X-Total-Count"))
	require.Contains(t, header.Get("Link"), "sysparm_offset=1")
}

func TestServiceNowWrites(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	k := &keyring{town: w}
	write := func(method, path string, body any, header ...string) (int, map[string]any) {
		status, _, out := w.api(k, "servicenow", method, path, body, header...)
		doc, _ := out.(map[string]any)
		return status, doc
	}
	status, out := write(http.MethodPost, "/api/sn_customerservice/case", map[string]any{"short_description": "Late", "shrot": "x", "priority": 3})
	require.Equal(t, 201, status)
	made := out["result"].(map[string]any)
	require.Equal(t, "CS0010002", made["number"])
	require.Equal(t, "3", made["priority"])
	require.NotContains(t, made, "shrot", "unknown names are ignored")

	at := "/api/now/v2/table/sn_customerservice_case/" + made["sys_id"].(string)
	status, _ = write(http.MethodPatch, at, map[string]any{"work_notes": "called back", "comments": "we are on it"})
	require.Equal(t, 200, status)
	journal := w.sites["servicenow"].counter.crm.(*serviceNow).records("sys_journal_field")
	require.Len(t, journal, 2)

	status, out = write(http.MethodPatch, at[:len(at)-1]+"z", map[string]any{"state": "3"})
	require.Equal(t, 404, status)
	require.Equal(t, "failure", out["status"])
	status, _ = write(http.MethodPost, "/api/now/v2/table/incident", map[string]any{}, "Content-Type", "")
	require.Equal(t, 400, status, "both headers are needed")
	status, out = write(http.MethodPost, "/api/now/v2/table/sys_user", map[string]any{"user_name": "jonas.keller"})
	require.Equal(t, 403, status)
	require.Contains(t, out["error"].(map[string]any)["detail"], "Unique Key violation")
	status, _ = write(http.MethodDelete, at, nil)
	require.Equal(t, 405, status)
}

// left returns the columns that were sent and ignored.
func (s *serviceNow) left() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ignored)
}

// records returns a copy of the rows of a table.
func (s *serviceNow) records(table string) []snowRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]snowRecord, 0, len(s.tables[table]))
	for _, row := range s.tables[table] {
		out = append(out, maps.Clone(row))
	}
	return out
}
