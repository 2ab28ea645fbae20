package cxone

import (
	"context"
	"errors"
	"io"
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
	"tandem/core/execution"
	"tandem/core/operation"
)

// grace is how long after its time an answer may come.
const grace = 250 * time.Millisecond

// TestAnswersInTimeWhateverHangs: no fault of the CRM holds up a call, whether it
// reads or writes, and no goroutine stays behind. It measures time, so that the
// other tests wait for it.
func TestAnswersInTimeWhateverHangs(t *testing.T) {
	held := make(chan struct{})
	ended := sync.OnceFunc(func() { close(held) })
	faults := map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, req *http.Request) {
			select {
			case <-held:
			case <-req.Context().Done():
			}
		},
		"drips": func(w http.ResponseWriter, req *http.Request) {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-tick.C:
				case <-held:
					return
				case <-req.Context().Done():
					return
				}
			}
		},
		"stalls after headers": func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-held:
			case <-req.Context().Done():
			}
		},
	}
	for name, serve := range faults {
		for _, write := range []bool{false, true} {
			r := newRig(t)
			r.serve(serve)
			const limit = 400 * time.Millisecond
			contacts := 0
			coretest.Soon(t, limit+grace, name, func() {
				var all sync.WaitGroup
				answers, took := make([]*httptest.ResponseRecorder, 17), make([]time.Duration, 17)
				for i := range answers {
					b := body(t, findID, within(int(limit.Milliseconds())))
					if write {
						contacts++
						b = body(t, createID, object{"workflowInput": object{"subject": "x"}, "timeoutMilliSec": limit.Milliseconds()}, "contactId", contacts)
					}
					all.Go(func() {
						elapsed := core.Stopwatch()
						answers[i] = r.do(admin, http.MethodPost, "/cxone/v1/workflow-execute", b)
						took[i] = elapsed()
					})
				}
				all.Wait()
				for i, rec := range answers {
					s := saidIn(t, rec)
					require.Equal(t, []any{branchTimeout, "TIMEOUT", true}, []any{s.Branch, s.ErrorArgs.Code, s.ErrorArgs.Retryable}, name)
					require.GreaterOrEqual(t, took[i], limit-10*time.Millisecond)
				}
			})
			if write {
				defer r.answers.Wait(context.Background())
			}
		}
	}
	ended()
}

func TestEqualWritesRunOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var runs atomic.Int64
	r.runner = func(_ context.Context, q operation.Request) (*operation.Result, error) {
		runs.Add(1)
		return &operation.Result{Output: object{"records": []any{object{"id": q.ID}}}}, nil
	}
	b := body(t, createID, subject("one"))
	var all sync.WaitGroup
	answers := make([]string, 50)
	for i := range answers {
		all.Go(func() {
			answers[i] = r.do(admin, http.MethodPost, "/cxone/v1/workflow-execute", b).Body.String()
		})
	}
	all.Wait()
	for _, answer := range answers {
		require.Equal(t, answers[0], answer)
	}
	require.Contains(t, answers[0], `"branch":"Success"`)
	require.Equal(t, int64(1), runs.Load())
	noted := 0
	for _, run := range r.log.all() {
		if run.Message == "The first answer to this request again." {
			noted++
		}
	}
	require.Equal(t, 49, noted)
	require.Len(t, r.log.all(), 50)

	for name, differs := range map[string]string{
		"contact":     body(t, createID, subject("one"), "contactId", "4712"),
		"interaction": body(t, createID, subject("one"), "interactionId", "i"),
		"payload":     body(t, createID, subject("two")),
		"workflow":    body(t, plainID, subject("one")),
	} {
		before := runs.Load()
		r.execute(t, admin, differs)
		require.Equal(t, before+1, runs.Load(), name)
	}
	for name, same := range map[string]string{
		"timeout": body(t, createID, object{"workflowInput": object{"subject": "one"}, "timeoutMilliSec": "5000"}),
		"text":    body(t, createID, `{ "workflowInput" : {"subject":"one"} }`),
	} {
		before := runs.Load()
		r.execute(t, admin, same)
		require.Equal(t, before, runs.Load(), name)
	}
	r.clock.Advance(answerLife + time.Second)
	before := runs.Load()
	r.execute(t, admin, b)
	require.Equal(t, before+1, runs.Load(), "after the life of the first answer")

	before = runs.Load()
	for range 2 {
		require.Equal(t, branchSuccess, r.execute(t, admin, body(t, createID, subject("one"), "contactId", nil)).Branch)
	}
	require.Equal(t, before+2, runs.Load(), "without any id")
}

func TestSecondTryAfterATimeoutGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	for name, contact := range map[string]any{"with a contact": "1", "without": nil} {
		r := newRig(t)
		var runs atomic.Int64
		release := make(chan struct{})
		r.begun = make(chan struct{})
		begin := sync.OnceFunc(func() { close(r.begun) })
		r.runner = func(ctx context.Context, q operation.Request) (*operation.Result, error) {
			runs.Add(1)
			begin()
			require.Equal(t, runLimit, q.Timeout)
			select {
			case <-release:
			case <-ctx.Done():
			}
			return &operation.Result{Output: object{"records": []any{object{"id": "made"}}}}, nil
		}
		b := body(t, createID, object{"workflowInput": object{"subject": "x"}, "timeoutMilliSec": 1000}, "contactId", contact)
		s := r.execute(t, admin, b)
		require.Equal(t, branchTimeout, s.Branch, name)
		require.Equal(t, contact != nil, s.ErrorArgs.Retryable, name)
		first := s.ErrorArgs.CorrelationID
		if contact != nil {
			again := r.execute(t, admin, b)
			require.Equal(t, branchTimeout, again.Branch, "it goes on")
			require.NotEqual(t, first, again.ErrorArgs.CorrelationID)
		}
		close(release)
		r.answers.Wait(context.Background())
		if contact == nil {
			require.Equal(t, int64(1), runs.Load())
			continue
		}
		s = r.execute(t, admin, b)
		require.Equal(t, branchSuccess, s.Branch)
		require.Equal(t, int64(1), runs.Load())
		all := r.log.all()
		require.Len(t, all, 4)
		late := all[2]
		require.Equal(t, branchSuccess, late.Outcome)
		require.Contains(t, late.Message, first)
		require.NotEqual(t, first, late.ID)
		require.NotEmpty(t, late.Result)
		require.Equal(t, "The first answer to this request again.", all[3].Message)
	}
}

// TestWhatWasNotDoneMayBeDoneAgain: a run that sent nothing frees its key.
func TestWhatWasNotDoneMayBeDoneAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var runs int
	fault := &operation.Error{Step: "create", Err: core.Errorf(core.Unavailable, "down")}
	r.runner = func(context.Context, operation.Request) (*operation.Result, error) {
		if runs++; runs == 1 {
			return &operation.Result{}, fault
		}
		return &operation.Result{Output: object{"records": []any{}}}, nil
	}
	s := r.execute(t, admin, body(t, createID, subject("x")))
	require.True(t, s.ErrorArgs.Retryable)
	require.Equal(t, branchSuccess, r.execute(t, admin, body(t, createID, subject("x"))).Branch)

	runs, fault.Wrote = 0, true
	s = r.execute(t, admin, body(t, createID, subject("y")))
	require.False(t, s.ErrorArgs.Retryable)
	require.Equal(t, s, r.execute(t, admin, body(t, createID, subject("y"))))
	require.Equal(t, 1, runs)
}

// TestWhatAnAdministratorPutsRightIsTriedAgain: what wrote nothing is no first
// answer, whether or not a script would be told to come back.
func TestWhatAnAdministratorPutsRightIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := body(t, createID, subject("x"))
	r.auth.err = core.Errorf(core.NeedsAuthorization, "authorize it")
	s := r.execute(t, admin, b)
	require.Equal(t, []any{"AUTHORIZATION_REQUIRED", false}, []any{s.ErrorArgs.Code, s.ErrorArgs.Retryable})
	r.auth.err = nil
	r.answerWith(403, `{"error":{"message":"no permission"}}`)
	require.Equal(t, "UPSTREAM_FORBIDDEN", r.execute(t, admin, b).ErrorArgs.Code)
	r.answerWith(201, `{"id":"c1"}`)
	require.Equal(t, branchSuccess, r.execute(t, admin, b).Branch)
	r.answerWith(500, `{}`)
	require.Equal(t, branchSuccess, r.execute(t, admin, b).Branch, "the first answer")

	b = body(t, createID, subject("y"))
	r.answerWith(201, `{"id":"`+strings.Repeat("x", maxAnswer)+`"}`)
	s = r.execute(t, admin, b)
	require.Equal(t, "RESULT_TOO_LARGE", s.ErrorArgs.Code)
	r.answerWith(201, `{"id":"c1"}`)
	require.Equal(t, s, r.execute(t, admin, b), "it was done")
}

// TestPanics are answered, recorded, and told the operator with the stack, once.
func TestPanics(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.runner = func(context.Context, operation.Request) (*operation.Result, error) { panic("boom") }
	for n, id := range []string{findID, createID, createID} {
		s := r.execute(t, admin, body(t, id, object{"workflowInput": object{"phoneNumber": "1", "subject": "x"}}))
		require.Equal(t, []any{"InternalError", "INTERNAL_ERROR", id == findID}, []any{s.Branch, s.ErrorArgs.Code, s.ErrorArgs.Retryable})
		require.NotContains(t, s.ErrorArgs.Message, "boom")
		run := r.log.all()[n]
		require.Equal(t, []any{true, "InternalError"}, []any{run.Failed, run.Outcome})
		if n < 2 {
			require.Contains(t, run.Message, "panic: boom")
		}
	}
	require.Len(t, r.faults, 2, "the third got the second's answer")
	require.Contains(t, r.faults[0], "once_test.go")
}

// TestAnEmptyIDHidesNone that stands elsewhere in the body.
func TestAnEmptyIDHidesNone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var contacts []string
	r.runner = func(_ context.Context, q operation.Request) (*operation.Result, error) {
		contacts = append(contacts, q.ContactID)
		return &operation.Result{Output: object{"records": []any{}}}, nil
	}
	b := body(t, createID, object{"workflowInput": object{"subject": "x"}, "contactID": "4711"}, "contactId", " ")
	for range 2 {
		require.Equal(t, branchSuccess, r.execute(t, admin, b).Branch)
	}
	require.Equal(t, []string{"4711"}, contacts)
}

// TestTextsOfTimeouts: a caller reads the time that it gave.
func TestTextsOfTimeouts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	r.begun = make(chan struct{})
	begin := sync.OnceFunc(func() { close(r.begun) })
	r.serve(func(_ http.ResponseWriter, req *http.Request) {
		begin()
		select {
		case <-held:
		case <-req.Context().Done():
		}
	})
	s := r.execute(t, admin, body(t, findID, within(1000)))
	require.Equal(t, "the workflow did not end within 1000 ms", s.ErrorArgs.Message)
	s = r.execute(t, admin, body(t, createID, object{"workflowInput": object{"subject": "x"}, "timeoutMilliSec": 1000}))
	require.Contains(t, s.ErrorArgs.Message, "the workflow did not end within 1000 ms and goes on")
	all := r.log.all()
	require.Contains(t, all[len(all)-1].Message, "gets its answer. When it ends, that stands under ")
	release()
}

func TestKeysOfEqualRequestsAreEqual(t *testing.T) {
	t.Parallel()
	var keys []string
	r := newRig(t)
	r.runner = func(_ context.Context, q operation.Request) (*operation.Result, error) {
		keys = append(keys, q.Key)
		return &operation.Result{}, &operation.Error{Err: core.Errorf(core.Unavailable, "down")}
	}
	for range 2 {
		r.execute(t, admin, body(t, createID, subject("x")))
	}
	require.Len(t, keys, 2)
	require.Equal(t, keys[0], keys[1])
	for range 2 {
		r.execute(t, admin, body(t, createID, subject("x"), "contactId", nil))
	}
	require.NotEqual(t, keys[2], keys[3])
}

// refusing are Answers that may refuse, and that let no call end before the rig's
// flow has begun, however busy the machine is; they run in one process.
type refusing struct {
	Answers

	r *rig
}

func (f refusing) Do(ctx context.Context, key [32]byte, life, limit time.Duration, flow execution.Flow) (execution.Answer, bool, error) {
	if f.r.refuse != nil {
		if errors.Is(f.r.refuse, context.DeadlineExceeded) {
			<-ctx.Done()
		}
		return nil, false, f.r.refuse
	}
	if begun := f.r.begun; begun != nil {
		over := ctx.Done()
		longer, leave := context.WithCancel(context.WithoutCancel(ctx))
		defer leave()
		go func() {
			<-over
			<-begun
			leave()
		}()
		ctx = longer
	}
	return f.Answers.Do(ctx, key, life, limit, flow)
}
