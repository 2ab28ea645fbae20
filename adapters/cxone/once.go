package cxone

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"tandem/core"
	"tandem/core/execution"
	"tandem/core/server"
)

// fairTime is what a database may need to write a call down: one that has not done
// so by then is busy, and the caller is sent away in HTTP. Who gives less time has
// none to spare for a second call.
const fairTime = time.Second

// handover is where a run and the caller who waited for it agree on who speaks.
type handover struct {
	mu   sync.Mutex
	done *ran   // when the run has ended
	gone bool   // the caller was answered without it
	late string // id of the run for people, if its caller has gone
}

// answerOnce runs a workflow that writes, once for all equal calls of a contact.
// It goes on when the caller's time is over; a call that says of no contact is
// like no other.
func (a *Adapter) answerOnce(ctx context.Context, j *job) (*reply, error) {
	key := j.key()
	hand := &handover{late: core.NewID(a.o.Clock.Now())}
	answer, repeated, err := a.o.Answers.Do(ctx, key, answerLife, runLimit, func(ctx context.Context) (execution.Answer, bool) {
		done := a.run(ctx, j, runLimit, hex.EncodeToString(key[:]))
		// Before the caller has it, who makes its text and would share this one.
		text, keep := server.EncodeJSON(done.reply), j.hasID() && !done.mayRepeat()
		hand.mu.Lock()
		hand.done = &done
		gone := hand.gone
		hand.mu.Unlock()
		if gone {
			a.record(j, hand.late, done.reply, done, "Ended after the caller had been answered; see "+j.id+".")
		}
		return text, keep
	})
	hand.mu.Lock()
	done := hand.done
	hand.gone = done == nil
	hand.mu.Unlock()
	switch {
	case done != nil:
		a.record(j, j.id, done.reply, *done, "")
		return &done.reply, nil
	case err != nil && core.KindOf(err) == core.Unavailable: // nothing was begun
		if ctx.Err() == nil || j.timeout >= fairTime {
			return nil, err
		}
		err = core.Wrap(core.Timeout, err, "the workflow did not begin within %d ms; nothing was done for it", j.timeout.Milliseconds())
		r := failed(err, j.id)
		a.record(j, j.id, r, ran{err: err}, "")
		return &r, nil
	case err != nil:
		return a.unanswered(j, hand.late, err), nil
	}
	var r reply
	if err := json.Unmarshal(answer, &r); err != nil {
		return a.unanswered(j, hand.late, fmt.Errorf("first answer: %w", err)), nil
	}
	note := "The first answer to this request again."
	if !repeated {
		note = ""
	}
	a.record(j, j.id, r, ran{}, note)
	return &r, nil
}

// unanswered makes the verdict of a call that got no answer of a run that may have
// begun.
func (a *Adapter) unanswered(j *job, late string, err error) *reply {
	note := ""
	if core.KindOf(err) == core.Timeout {
		text := "the workflow did not end within %d ms and goes on; the same request again gets its answer"
		if !j.hasID() {
			text = "the workflow did not end within %d ms and goes on; do not repeat it, because a request without contactId is done again"
		}
		err = core.Errorf(core.Timeout, text, j.timeout.Milliseconds())
		note = "When it ends, that stands under " + late + "."
	}
	r := failed(err, j.id)
	// Whatever else ended it, nobody knows how far it came.
	r.ErrorArgs.Retryable = r.Branch == branchTimeout && j.hasID()
	a.record(j, j.id, r, ran{err: err}, note)
	return &r
}

// key is the same for calls that ask for the same work for the same contact.
func (j *job) key() [32]byte {
	payload := maps.Clone(map[string]any(j.payload))
	for _, name := range []string{ // which differ without asking for other work, or stand below in one spelling
		"timeoutMilliSec", "cacheKey", "action", "actionType", "contactId", "contactID", "interactionId", "interactionID",
		"dataMappingId", "dynamicDataMappingId",
	} {
		delete(payload, name)
	}
	parts := []string{
		"cxone", j.who.Tenant, j.configuration.id, j.workflow.id, j.contact, j.interaction, j.action,
		j.cardMappingID, j.dataMappingID, string(server.EncodeJSON(payload)), // keys in order
	}
	if !j.hasID() {
		parts = append(parts, j.id)
	}
	var text bytes.Buffer
	for _, part := range parts {
		text.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		text.WriteString(part)
	}
	return sha256.Sum256(text.Bytes())
}
