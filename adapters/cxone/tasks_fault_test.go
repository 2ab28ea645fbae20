package cxone

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/server"
)

func TestTaskFailures(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	task := r.keepTask(t, desk, nil)
	over := r.keepTask(t, desk, nil)
	require.NoError(t, r.engine.Remove(t.Context(), over.ID, nil, func(*core.Task) error { return nil }))
	theirs := r.keepTask(t, "desk@fabrikam.example", nil)
	item := r.workItem(t)
	of := func(id string) object {
		return object{"taskId": id, "parameters": object{"a": "b"}, "agent": agent}
	}
	inputs := map[string][]string{getID: {}, updateID: {"parameters"}, queueID: {}, connectID: {"agent"}, closeID: {}}
	for workflow, names := range inputs {
		input := func(id string) object {
			all := object{"taskId": id}
			for _, name := range names {
				all[name] = of(id)[name]
			}
			return all
		}
		for name, c := range map[string]struct {
			who, branch, code string
			input             object
			status            int
		}{
			"unknown":        {admin, branchInternalError, "NOT_FOUND", input(unknownID), 404},
			"no contact":     {admin, branchInternalError, "NOT_FOUND", input("4712"), 404},
			"other tenant's": {admin, branchInternalError, "NOT_FOUND", input(theirs.ID), 404},
			"forbidden":      {clerk, branchInternalError, "FORBIDDEN", input(item.ID), 403},
			"misspelt":       {admin, "ValidationError", "VALIDATION_ERROR", object{"taskID": task.ID}, 400},
			"no id":          {admin, "ValidationError", "VALIDATION_ERROR", object{"taskId": object{}}, 400},
			"a long id":      {admin, "ValidationError", "VALIDATION_ERROR", input(strings.Repeat("x", 257)), 400},
			"a control":      {admin, "ValidationError", "VALIDATION_ERROR", input("a\x07"), 400},
			"ended":          {admin, branchInternalError, "TASK_ENDED", input(over.ID), 409},
		} {
			s := r.execute(t, c.who, aboutTask(t, workflow, c.input))
			rec := r.do(c.who, http.MethodPost, addressOf(tasksID, workflow), string(server.EncodeJSON(object{"contactId": "4711", "workflowInput": c.input})))
			if name == "ended" && (workflow == getID || workflow == closeID) {
				require.Equal(t, branchSuccess, s.Branch)
				require.Equal(t, http.StatusOK, rec.Code)
				continue
			}
			require.Equal(t, c.branch, s.Branch, name)
			require.Equal(t, c.code, s.ErrorArgs.Code, name)
			require.False(t, s.ErrorArgs.Retryable, name)
			require.Equal(t, c.status, rec.Code, "%s %s", name, rec.Body)
			require.Contains(t, rec.Body.String(), `"error":"`+c.code+`"`)
			require.NotContains(t, rec.Body.String(), "fabrikam")
		}
		s := r.execute(t, admin, aboutTask(t, workflow, nil, "contactId", nil))
		require.Equal(t, "ValidationError", s.Branch)

		for err, want := range map[error][]any{
			core.Errorf(core.Unavailable, "busy"): {branchInternalError, "UNAVAILABLE", true},
			errors.New("a fault"):                 {branchInternalError, "INTERNAL_ERROR", true},
		} {
			r.broken = err
			s = r.execute(t, admin, aboutTask(t, workflow, input(task.ID)))
			require.Equal(t, want, []any{s.Branch, s.ErrorArgs.Code, s.ErrorArgs.Retryable})
		}
		r.broken = nil
		require.Equal(t, core.StateQueued, r.taskNow(t, "contoso", task.ID).State)
	}
	for _, run := range r.log.all() {
		require.Empty(t, run.Operation)
		require.NotContains(t, run.Message, "panic")
	}
}

func TestTaskTimeout(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	task := r.keepTask(t, desk, nil)
	r.broken = errSlow
	began := time.Now()
	s := r.execute(t, admin, body(t, closeID, object{"workflowInput": object{"taskId": task.ID}, "timeoutMilliSec": 50}, "configurationId", tasksID))
	require.Equal(t, []any{branchTimeout, "TIMEOUT", true}, []any{s.Branch, s.ErrorArgs.Code, s.ErrorArgs.Retryable})
	require.Contains(t, s.ErrorArgs.Message, "within 50 ms")
	require.Less(t, time.Since(began), 20*time.Second)
}
