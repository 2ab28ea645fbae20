package cxone

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/operation"
	"tandem/core/store/pgtest"
)

// lock keeps everybody else from writing into the rig's database until the end of
// the test, or until it is released.
func (r *rig) lock(t *testing.T) (release func()) {
	t.Helper()
	driver, address := "pgx", r.db.URL()
	statements := []string{"BEGIN", "LOCK TABLE tasks, first_answers, cached_results IN EXCLUSIVE MODE"}
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		driver, address, statements = "sqlite3", "file:"+path+"?_busy_timeout=5000", []string{"BEGIN EXCLUSIVE"}
	}
	db, err := sql.Open(driver, address)
	require.NoError(t, err)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	for _, s := range statements {
		_, err := conn.ExecContext(t.Context(), s)
		require.NoError(t, err)
	}
	release = sync.OnceFunc(func() {
		_, _ = conn.ExecContext(context.Background(), "ROLLBACK")
		_ = conn.Close()
		_ = db.Close()
	})
	t.Cleanup(release)
	return release
}

// TestAnswersInTimeWhenTheDatabaseTakesNothing: somebody else holds it, and the
// hub answers at its callers' time all the same, says that nothing was begun, and
// begins nothing later. It measures time, so that the other tests wait for it.
func TestAnswersInTimeWhenTheDatabaseTakesNothing(t *testing.T) {
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + t.TempDir() + "/tandem.db" },
		"postgres": func() string { return pgtest.Start(t) },
	} {
		t.Run(name, func(t *testing.T) { answersInTime(t, newRigOn(t, url())) })
	}
}

func answersInTime(t *testing.T, r *rig) {
	t.Helper()
	var runs atomic.Int64
	r.runner = func(_ context.Context, q operation.Request) (*operation.Result, error) {
		if q.Operation.Writes {
			runs.Add(1)
		}
		return &operation.Result{Output: object{"records": []any{object{"id": q.ID}}}}, nil
	}
	task := r.keepTask(t, desk, nil)
	kept := r.execute(t, admin, body(t, findID, phone())).CacheKey
	require.NotEmpty(t, kept)
	require.Equal(t, http.StatusOK, r.do(admin, http.MethodGet, resultAt(kept), "").Code)
	release := r.lock(t)

	for workflow, input := range map[string]object{
		updateID: {"parameters": object{"a": "b"}}, queueID: {"priority": 3}, connectID: {"agent": agent}, closeID: {},
	} {
		const limit = 400 * time.Millisecond
		input["taskId"] = task.ID
		b := body(t, workflow, object{"workflowInput": input, "timeoutMilliSec": limit.Milliseconds()}, "configurationId", tasksID)
		coretest.Soon(t, limit+grace, workflow, func() {
			s := r.execute(t, admin, b)
			require.Contains(t, []string{"TIMEOUT", "DATABASE_UNAVAILABLE"}, s.ErrorArgs.Code) // the latter when SQLite has given up just now
			require.True(t, s.ErrorArgs.Retryable)
		})
	}
	s := r.execute(t, admin, aboutTask(t, getID, object{"taskId": task.ID}))
	require.Equal(t, branchSuccess, s.Branch, "what only reads")

	const limit = time.Second
	create := func(contact any) string {
		return body(t, createID, object{"workflowInput": object{"subject": "x"}, "timeoutMilliSec": limit.Milliseconds()}, "contactId", contact)
	}
	for _, contact := range []any{"4711", nil} {
		coretest.Soon(t, limit+grace, "a creation", func() {
			refused(t, r.do(admin, http.MethodPost, "/cxone/v1/workflow-execute", create(contact)))
		})
	}
	coretest.Soon(t, keepTime+grace, "a kept result", func() { // it may be found, if nothing waits to be written
		rec := r.do(admin, http.MethodGet, resultAt("unknown"), "")
		require.Contains(t, []int{http.StatusNotFound, http.StatusServiceUnavailable}, rec.Code)
	})
	coretest.Soon(t, keepTime+grace, "to keep a result", func() {
		refused(t, r.do(admin, http.MethodPost, resultAt(kept), `{"keepAlive":true}`))
	})

	release()
	r.answers.Wait(t.Context())
	require.Zero(t, runs.Load(), "nothing was begun")
	require.Empty(t, r.faults, "the callers know")
	require.Equal(t, http.StatusOK, r.do(admin, http.MethodPost, resultAt(kept), `{"keepAlive":true}`).Code)
	for range 2 {
		b := body(t, createID, subject("x"))
		require.Equal(t, branchSuccess, r.execute(t, admin, b).Branch)
	}
	require.Equal(t, int64(1), runs.Load())
}

func resultAt(key string) string {
	return "/incontactapi/services/v27.0/agent-integration/workflow-execution/interaction/" + key
}

// refused is an answer in HTTP that says when to come back, and no branch.
func refused(t *testing.T, rec *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, http.StatusServiceUnavailable, rec.Code, rec.Body.String())
	require.NotEmpty(t, rec.Header().Get("Retry-After"))
	require.NotContains(t, rec.Body.String(), "branch")
}

// TestTooLittleTimeToBegin is no fault of the database: a caller who gives less
// than it may need has the branch that it asked for.
func TestTooLittleTimeToBegin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.refuse = core.Wrap(core.Unavailable, context.DeadlineExceeded, "nothing was begun")
	for _, contact := range []any{"4711", nil} {
		s := r.execute(t, admin, body(t, createID, object{"workflowInput": object{"subject": "x"}, "timeoutMilliSec": 1}, "contactId", contact))
		require.Equal(t, []any{branchTimeout, "TIMEOUT", true}, []any{s.Branch, s.ErrorArgs.Code, s.ErrorArgs.Retryable})
		require.Equal(t, "the workflow did not begin within 1 ms; nothing was done for it", s.ErrorArgs.Message)
	}
	require.Len(t, r.log.all(), 2)
}
