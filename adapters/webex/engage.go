package webex

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/server"
	"tandem/core/store"
)

// EngageSource stands for the subscription where Webex Engage posts what became
// of a message.
const EngageSource = "webex-engage"

// resolvedPath is where that arrives, before the tenant, the message and the
// token.
const resolvedPath = "/webex/v1/resolved/"

const (
	// failureLife is how long a failure is the answer to the same call again: as
	// long as equal calls are one. What has succeeded stays so.
	failureLife = time.Minute
	storeTime   = 5 * time.Second // for a post
	maxWord     = 64              // bytes of a word that nobody knows
)

// reachable returns an address of the hub as far as others may post to it.
func reachable(base string) string {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !core.Loopback(u.Hostname())) {
		return ""
	}
	return strings.TrimRight(base, "/")
}

// message names what a call hands to Webex Engage: equal calls are one, and
// services do not see each other's.
func (k *call) message(service string) string {
	sum := sha256.Sum256([]byte(service + "\n" + k.r.TransID))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// postAddress is where Webex Engage posts what became of a message; empty: it
// cannot reach the hub. It is always the same, for it is part of the call by
// which equal ones are known.
func (a *Adapter) postAddress(tenant, message string) (string, error) {
	if a.base == "" {
		return "", nil
	}
	path := tenant + "/" + message
	token, err := a.o.Token(resolvedPath + path)
	return a.base + resolvedPath + path + "/" + token, err
}

// resolved is the route of these posts. Whoever knows the address is believed:
// the token in it cannot be guessed.
func (a *Adapter) resolved(c echo.Context) error {
	tenant, message := c.Param("tenant"), c.Param("message")
	record := AuditRecord{Subscription: EngageSource, Remote: server.ClientIP(c)}
	refuse := func(reason string, err error) error {
		record.Reason = reason
		a.o.Audit(c.Request().Context(), record)
		return err
	}
	if a.base == "" {
		return core.Errorf(core.NotFound, "There is no such address.")
	}
	token, err := a.o.Token(resolvedPath + tenant + "/" + message)
	if err != nil {
		return core.Wrap(core.Unavailable, err, "The address cannot be checked now. Send it again.")
	}
	_, known := a.o.Directory().Tenant(tenant)
	if subtle.ConstantTimeCompare([]byte(token), []byte(c.Param("token"))) != 1 || !known {
		return refuse("nobody was given this address", core.Errorf(core.NotFound, "There is no such address."))
	}
	record.Tenant = tenant
	var doc map[string]any
	if err := server.DecodeJSON(c, &doc); err != nil {
		return refuse("not readable", err)
	}
	p, err := readPost(doc)
	if err != nil {
		return refuse("not understood: "+err.Error(), err)
	}
	if p.word != "" {
		if err := a.keepPost(c.Request().Context(), tenant, message, p); err != nil {
			return tryAgain(err)
		}
	}
	return c.JSONBlob(http.StatusOK, []byte("{}"))
}

// engagePost is what Webex Engage says of a message.
type engagePost struct {
	word   string // of the operation, or of what went wrong; empty: this is not the last word
	taskID string // that it made or found
	reason string // of what went wrong
}

// readPost reads a post. What is published is transId, taskId and
// conversationOperation; the address says already which message is meant. A
// failure has no published form: any other word in the place of the operation is
// one, or one in outcome where there is no operation.
func readPost(doc map[string]any) (p engagePost, err error) {
	text := func(names ...string) string {
		for _, name := range names {
			if s, _ := doc[name].(string); strings.TrimSpace(s) != "" {
				return strings.TrimSpace(s)
			}
		}
		return ""
	}
	p = engagePost{operation.Cut(text("conversationOperation", "outcome"), maxWord), text("taskId"), operation.Cut(text("reason", "description", "message"), maxTold)}
	switch _, done := operationCause[p.word]; {
	case p.word == acceptedWord:
		p.word = ""
	case done && (utf8.RuneCountInString(p.taskID) > maxText || strings.ContainsFunc(p.taskID, unicode.IsControl)):
		err = core.InvalidField("taskId", "must be a text of at most %d characters, on one line", maxText)
	}
	return p, err
}

// acceptedWord is the vendor's for what is not the last word.
const acceptedWord = "accepted"

// keepPost returns when a post is on disk. Of several that say what was done the
// first counts, of those that say what went wrong the first of each minute.
func (a *Adapter) keepPost(ctx context.Context, tenant, message string, p engagePost) error {
	now := a.o.Clock.Now()
	e := store.RemoteEvent{
		Tenant: tenant, Platform: EngageSource, RemoteID: message, Kind: p.word, Reason: p.taskID,
		AtMs: now.UnixMilli(), ReceivedMs: now.UnixMilli(),
	}
	key := []byte(message)
	if _, done := operationCause[p.word]; !done {
		e.Reason = p.reason
		key = strconv.AppendInt(key, now.Truncate(failureLife).Unix(), 10)
	}
	sum := sha256.Sum256(key)
	e.Key = sum[:]
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	return a.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.InsertRemoteEvent(ctx, e)
		return err
	})
}

// posted returns what was posted of a call's message, as an operation would have
// answered it; nil: nothing.
func (a *Adapter) posted(ctx context.Context, k *call, message string) (outputs map[string]any, err error) {
	events, err := a.o.DB.RemoteEventsNow(ctx, k.who.Tenant, EngageSource, message)
	if err != nil {
		return nil, err
	}
	since := a.o.Clock.Now().Add(-failureLife).UnixMilli()
	var failed error
	for _, e := range events {
		if _, done := operationCause[e.Kind]; done {
			outputs := map[string]any{"conversationOperation": e.Kind}
			if e.Reason != "" {
				outputs["taskId"] = e.Reason
			}
			return outputs, nil
		}
		if failed == nil && e.ReceivedMs > since {
			failed = engageFailure(e.Kind, k.shown(e.Reason))
		}
	}
	return nil, failed
}

// awaitPost is posted for whoever has time to wait.
func (a *Adapter) awaitPost(ctx context.Context, k *call, message string) (map[string]any, error) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		outputs, err := a.posted(ctx, k, message)
		if outputs != nil || err != nil {
			return outputs, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, core.Wrap(core.Timeout, ctx.Err(), "Webex Engage has the message and did not post in time what became of it")
		}
	}
}

// shown is what Webex Engage said for people, who are not shown whose message it
// was, or what it says; empty: it told that.
func (k *call) shown(reason string) string {
	m := k.r.Details.Message
	for _, private := range []string{m.Customer, m.CustomerName, m.Subject, m.Text} {
		if private != "" && strings.Contains(strings.ToLower(reason), strings.ToLower(private)) {
			return ""
		}
	}
	return reason
}

// perhapsTaken tells whether Webex Engage may have a message though the call
// failed: it was sent, or by a hub that died then.
func perhapsTaken(err error) bool {
	run, ok := errors.AsType[*operation.Error](err)
	return core.KindOf(err) == core.Uncertain && (!ok || run.Upstream == 0)
}

// engageFailure is the error for a word of the vendor's that says what went
// wrong.
func engageFailure(word, reason string) error {
	said := func(kind core.Kind, code, otherwise string) *core.Error {
		return &core.Error{Kind: kind, Code: code, Message: "Webex Engage: " + cmp.Or(reason, otherwise)}
	}
	switch word {
	case "taskFailed":
		return said(core.Conflict, codeTaskFailed, "it could not make the task")
	case "appendFailed":
		return appendError{said(core.Conflict, "", "the message did not reach the open task")}
	case "tooManyRequests":
		return said(core.Throttled, "", "too many calls")
	case "onauthorizationfail":
		return said(core.NeedsAuthorization, "", "it refuses the authorization")
	case "serviceUnavailable", "error", "onError":
		return &operation.Error{Err: said(core.Unavailable, "", "it could not resolve the conversation")}
	}
	return said(core.Uncertain, operation.CodeBrokenAnswer, "it did not say what became of the conversation")
}
