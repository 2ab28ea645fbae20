package cxone

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/server"
)

const base = "/InContactAPI/services/v30.0/agent-integration"

func (r *rig) get(t testing.TB, who, address string, status int) string {
	t.Helper()
	rec := r.do(who, http.MethodGet, address, "")
	require.Equal(t, status, rec.Code, rec.Body.String())
	require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
	return rec.Body.String()
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := base + "/configuration/" + configID
	for address, want := range map[string]string{
		base + "/configuration?status=ACTIVE": `{"configurations":[
			{"id":"` + configID + `","name":"Acme","description":"The CRM","status":"active","typeId":"salesforce","typeName":"Salesforce"},
			{"id":"` + uncached + `","name":"Uncached","description":"","status":"active","typeId":"acme","typeName":"Acme"},
			{"id":"` + tasksID + `","name":"Tasks","description":"","status":"active","typeId":"tandem","typeName":"Tandem"}],"totalRecords":3}`,
		base + "/configuration?status=inactive": `{"configurations":[
			{"id":"` + sleeping + `","name":"Sleeping","description":"","status":"inactive","typeId":"acme","typeName":"Acme"}],"totalRecords":1}`,
		at + "/data-mappings": `{"dataMappings":[
			{"id":"` + memoMap + `","name":"Memo","description":"","status":"active","entities":[{"name":"Case","fields":[
				{"name":"Description","from":"dispositionNotes"},{"name":"Tags","from":"tags"},{"name":"Absent","from":"nothing.here"}]}]},
			{"id":"` + sleepMap + `","name":"Sleeping","description":"","status":"inactive","entities":[{"name":"Case","fields":[{"name":"X","from":"contactId"}]}]}],"totalRecords":2}`,
		at + "/dynamic-data-mappings": `{"dynamicDataMappings":[
			{"id":"` + cardMap + `","name":"Card","description":"","status":"active","entities":[{"name":"Contact","fields":[{"name":"Phone","label":"Telephone"}]}]}],"totalRecords":1}`,
		at + "/entities": `{"entities":[{"label":"Person","name":"Contact"}]}`,
		at + "/entities?name=contact": `{"entities":[{"label":"Person","name":"Contact","fields":[
			{"label":"Telephone","name":"Phone","isUpdatable":true},{"label":"Record","name":"Id","isUpdatable":false}]}]}`,
	} {
		require.JSONEq(t, want, r.get(t, admin, address, 200), address)
	}
	all := r.get(t, admin, strings.Replace(base, "/InContactAPI", "/incontactapi", 1)+"/configuration", 200)
	require.Contains(t, all, `"totalRecords":4`)

	var workflows struct {
		ID, TypeID, InstanceID string
		Workflows              []workflowView
	}
	require.NoError(t, json.Unmarshal([]byte(r.get(t, admin, base+"/configuration/"+strings.ToUpper(configID)+"/workflow", 200)), &workflows))
	require.Equal(t, configID, workflows.ID)
	require.Len(t, workflows.Workflows, 7, "the disabled one is not there")
	search := "search"
	require.Equal(t, workflowView{findID, "Search for ANI", &search}, workflows.Workflows[0])
	require.Nil(t, workflows.Workflows[4].Action)
}

// hanging are Callers that never answer.
type hanging struct{ asked chan struct{} }

func (h hanging) Authenticate(r *http.Request, _ string) (core.Caller, error) {
	close(h.asked)
	<-r.Context().Done()
	return core.Caller{}, r.Context().Err()
}

// TestCallersThatCannotBeLookedUp: nobody waits for a database that hangs.
func TestCallersThatCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/cxone/v1/workflow-execute", addressOf(configID, findID), base + "/configuration", "/cxone/oauth/token"} {
		synctest.Test(t, func(t *testing.T) {
			srv, err := server.New(server.Options{})
			require.NoError(t, err)
			New(Options{Callers: hanging{make(chan struct{})}, Clock: core.SystemClock{}}).Mount(srv.Echo())
			method, form := http.MethodPost, "grant_type=client_credentials&client_id=x&client_secret=y"
			if strings.HasSuffix(path, "configuration") {
				method = http.MethodGet
			}
			rec, began := httptest.NewRecorder(), time.Now()
			srv.Echo().ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(form)))
			require.Equal(t, http.StatusServiceUnavailable, rec.Code, rec.Body.String())
			require.Equal(t, "1", rec.Header().Get("Retry-After"))
			require.Equal(t, 2*time.Second, time.Since(began))
		})
	}
}

func TestDiscoveryRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		who, address string
		status       int
		code         string
	}{
		{nobody, base + "/configuration", 401, ""},
		{agent, base + "/configuration", 403, ""},
		{none1, base + "/configuration", 403, "NOT_CONFIGURED"},
		{off, base + "/configuration/" + configID + "/entities", 403, "NOT_CONFIGURED"},
		{admin, base + "/configuration/" + otherID + "/workflow", 404, "NOT_FOUND"},
		{admin, base + "/configuration/" + unknownID + "/data-mappings", 404, "NOT_FOUND"},
		{admin, base + "/configuration/x/dynamic-data-mappings", 404, "NOT_FOUND"},
		{admin, base + "/configuration/" + configID + "/entities?name=Case", 404, "NOT_FOUND"},
		{admin, base + "/workflow-execution/interaction/none", 404, "NOT_FOUND"},
		{admin, "/InContactAPI/services/latest/agent-integration/configuration", 404, "NOT_FOUND"},
	} {
		text := r.get(t, c.who, c.address, c.status)
		if c.code == "" {
			continue
		}
		var e niceError
		require.NoError(t, json.Unmarshal([]byte(text), &e), text)
		require.Equal(t, c.code, e.Error, c.address)
		require.NotEmpty(t, e.ErrorDescription)
	}
	rec := r.do(admin, http.MethodPost, "/InContactAPI/services/vX/agent-integration/configuration/"+configID+"/workflow/"+findID, "{}")
	require.Equal(t, http.StatusNotFound, rec.Code)
}

func TestResultsUnderTheirCacheKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.answerWith(200, `{"records":[{"id":"one"}]}`)
	s := r.execute(t, admin, body(t, findID, phone()))
	address := base + "/workflow-execution/interaction/" + s.CacheKey
	text, err := json.Marshal(s.ResultSet)
	require.NoError(t, err)
	require.JSONEq(t, string(text), r.get(t, admin, address, 200))
	r.get(t, stranger, address, 404)

	r.answerWith(200, `{"records":[{"id":"two"}]}`)
	again := r.execute(t, admin, body(t, findID, phone(), "cacheKey", s.CacheKey))
	require.Equal(t, s.CacheKey, again.CacheKey)
	require.Contains(t, r.get(t, admin, address, 200), `"two"`)
	foreign := r.execute(t, stranger, body(t, otherFind, phone(), "configurationId", otherID, "cacheKey", s.CacheKey))
	require.NotEqual(t, s.CacheKey, foreign.CacheKey)
	require.Equal(t, branchSuccess, foreign.Branch)

	require.Equal(t, 200, r.do(admin, http.MethodPost, address, `{"keepAlive":true}`).Code)
	require.Equal(t, 404, r.do(stranger, http.MethodPost, address, `{"keepAlive":true}`).Code)
	for _, b := range []string{"", "x", "{}", `{"keepAlive":false}`} {
		require.Equal(t, 400, r.do(admin, http.MethodPost, address, b).Code)
	}
	r.clock.Advance(20 * time.Minute)
	require.Equal(t, 200, r.do(admin, http.MethodPost, address, `{"keepAlive":true}`).Code)
	r.clock.Advance(20 * time.Minute)
	r.get(t, admin, address, 200)
	r.clock.Advance(11 * time.Minute)
	r.get(t, admin, address, 404)
	require.Equal(t, 404, r.do(admin, http.MethodPost, address, `{"keepAlive":true}`).Code)

	require.Empty(t, r.execute(t, admin, body(t, uncachedID, phone(), "configurationId", uncached)).CacheKey)
	require.Empty(t, r.execute(t, admin, body(t, createID, subject("x"))).CacheKey)
}
