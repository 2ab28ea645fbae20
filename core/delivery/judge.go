package delivery

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/outbound"
)

// schedule holds the waits after the first, second ... failed attempt (Standard
// Webhooks specification, "Delivery attempts").
var schedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

const (
	// maxRetryAfter caps what a flow may ask for with Retry-After.
	maxRetryAfter = time.Hour
	// maxMisses ends a trigger whose callback answers 404 without saying why.
	maxMisses = 10
)

// outcome is what an attempt came to.
type outcome string

const (
	delivered outcome = "delivered"
	retry     outcome = "retried" // again later
	dead      outcome = "dead"    // never again
	ended     outcome = "ended"   // never again, and nothing else to this trigger

	// unwanted: the trigger does not ask for it any more; nothing was sent.
	unwanted outcome = "unwanted"

	// interrupted: the hub stopped during the call; that counts as no attempt.
	interrupted outcome = "interrupted"
)

// verdict is what to do after an attempt.
type verdict struct {
	outcome outcome
	wait    time.Duration // with retry: at least this long, as the flow asked; 0: as scheduled
	missed  bool          // the callback was not found, and did not say why
	reason  string        // for people; holds no secret
}

// endings are the error codes with which Power Automate says that a callback
// will never work again (Microsoft, Business Central codeunit 1545).
var endings = map[string]string{
	"WorkflowNotFound":               "the flow was deleted",
	"WorkflowTriggerVersionNotFound": "the flow was saved again",
	"WorkflowTriggerIsNotEnabled":    "the flow was turned off or deleted",
}

// judge decides what an attempt that ended now came to. It is pure.
func judge(res *outbound.Response, err error, now time.Time) verdict {
	if err != nil {
		reason := "the call failed inside the hub"
		if e, ok := errors.AsType[*core.Error](err); ok {
			reason = e.Message // not the cause: it may say what a name resolves to
		}
		if core.KindOf(err) == core.Forbidden {
			return verdict{outcome: dead, reason: reason}
		}
		return verdict{outcome: retry, reason: reason}
	}
	reason := "the flow answered " + strconv.Itoa(res.Status)
	switch s := res.Status; {
	case s >= 200 && s < 300:
		return verdict{outcome: delivered}
	case s == http.StatusGone:
		return verdict{outcome: ended, reason: reason + " (gone)"}
	case s == http.StatusBadRequest || s == http.StatusNotFound:
		code := errorCode(res.Body)
		if why, ok := endings[code]; ok {
			return verdict{outcome: ended, reason: why + " (" + code + ")"}
		}
		return verdict{outcome: dead, reason: reason, missed: s == http.StatusNotFound}
	case s == http.StatusRequestTimeout || s == http.StatusTooManyRequests || s >= 500:
		return verdict{outcome: retry, reason: reason, wait: retryAfter(res.Header.Get("Retry-After"), now)}
	default:
		return verdict{outcome: dead, reason: reason}
	}
}

func errorCode(body []byte) string {
	var answer struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return answer.Error.Code
}

// retryAfter reads the seconds or the date of a Retry-After header, at most
// maxRetryAfter; 0 for anything else, so that the schedule rules.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if len(header) > 9 && strings.Trim(header, "0123456789") == "" {
		return maxRetryAfter // too long for a number, surely too long to wait
	}
	if date, err := http.ParseTime(header); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// nextTry returns how long to wait after the given number of failed attempts,
// with up to a tenth more, so that what failed together does not come back
// together; chance is from 0 to 1. It returns false when the attempts are used
// up.
func nextTry(attempts int, v verdict, chance float64) (time.Duration, bool) {
	if attempts > len(schedule) {
		return 0, false
	}
	wait := schedule[attempts-1]
	wait += time.Duration(chance * float64(wait) / 10)
	return max(wait, v.wait), true
}
