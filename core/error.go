package core

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Kind says what an error asks its receiver to do. The set is closed; Table
// holds what each kind means at every edge of the hub.
type Kind string

// The kinds. An error without one is Internal.
const (
	Internal           Kind = "internal"            // a fault of the hub
	Invalid            Kind = "invalid"             // the caller's input is wrong; repeating it is useless
	Unauthenticated    Kind = "unauthenticated"     // the caller's own credential is missing, wrong or expired
	Forbidden          Kind = "forbidden"           // the caller is known and may not do this
	NotConfigured      Kind = "not_configured"      // the tenant has not set up what the call needs
	NeedsAuthorization Kind = "needs_authorization" // an administrator must grant an authorization first
	NotFound           Kind = "not_found"           // no such thing, or it is another tenant's
	Conflict           Kind = "conflict"            // the thing is in a state that does not allow this
	Throttled          Kind = "throttled"           // too much; RetryAfter says when to come back
	Unavailable        Kind = "unavailable"         // not now; nothing was done
	Timeout            Kind = "timeout"             // the deadline passed
	Uncertain          Kind = "uncertain"           // sent, end unknown: repeat only what is idempotent or keyed
	ResultTooLarge     Kind = "result_too_large"    // the answer does not fit the caller's limit
	Mapping            Kind = "mapping"             // a mapping file is wrong for this input
)

// Meaning is what one kind asks of each edge: the code, the HTTP status, whether
// the same call may be repeated, whether it counts against an upstream's breaker, and
// the branch or outcome of the platforms that have their own words.
type Meaning struct {
	Code         string // in branches and outcomes, of an error that brings none
	Status       int    // HTTP status at the Power Automate surface and the admin API
	Retry        bool   // repeating the same call later may succeed
	TripsBreaker bool   // counts as a failure of the upstream
	CXoneBranch  string // result branch of Workflow Execute; empty: the answer is the HTTP status
	WebexOutcome string // outcome of a task node that has no name of its own for the fault
}

// Table is the one table of kinds. Adapters read it and never relabel a kind.
var Table = map[Kind]Meaning{
	Internal:           {"INTERNAL_ERROR", http.StatusInternalServerError, true, false, "InternalError", "onError"},
	Invalid:            {"VALIDATION_ERROR", http.StatusBadRequest, false, false, "ValidationError", "onInvalidData"},
	Unauthenticated:    {"UNAUTHENTICATED", http.StatusUnauthorized, false, false, "", "onauthorizationfail"},
	Forbidden:          {"FORBIDDEN", http.StatusForbidden, false, false, "", "onauthorizationfail"},
	NotConfigured:      {"NOT_CONFIGURED", http.StatusForbidden, false, false, "NotConfigured", "onauthorizationfail"},
	NeedsAuthorization: {"AUTHORIZATION_REQUIRED", http.StatusFailedDependency, false, false, "InternalError", "onauthorizationfail"},
	NotFound:           {"NOT_FOUND", http.StatusNotFound, false, false, "InternalError", "onError"},
	Conflict:           {"CONFLICT", http.StatusConflict, false, false, "InternalError", "onError"},
	Throttled:          {"THROTTLED", http.StatusTooManyRequests, true, false, "InternalError", "onError"},
	Unavailable:        {"UNAVAILABLE", http.StatusServiceUnavailable, true, true, "InternalError", "onError"},
	Timeout:            {"TIMEOUT", http.StatusGatewayTimeout, true, true, "Timeout", "onTimeout"},
	Uncertain:          {"UNCERTAIN", http.StatusBadGateway, false, true, "InternalError", "onError"},
	ResultTooLarge:     {"RESULT_TOO_LARGE", http.StatusBadGateway, false, false, "InternalError", "onError"},
	Mapping:            {"MAPPING_ERROR", http.StatusUnprocessableEntity, false, false, "InternalError", "onError"},
}

// Kinds returns the words of all kinds, sorted.
func Kinds() []string {
	words := make([]string, 0, len(Table))
	for kind := range Table {
		words = append(words, string(kind))
	}
	slices.Sort(words)
	return words
}

// Detail names one thing that is wrong with a caller's input.
type Detail struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error is an error with a kind. Message and Details are written for the
// caller and hold no secret; Err is the cause and stays inside the hub.
type Error struct {
	Kind       Kind
	Code       string // for programs, for example FAIR_USE_LIMIT; empty: the kind's own
	Message    string
	Details    []Detail
	RetryAfter time.Duration // with Throttled and Unavailable
	Status     int           // only where HTTP has a number of its own (413, 415, 422); 0: the kind's
	Err        error
}

// Error returns the message and the cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an error of the kind with a message for the caller.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap is Errorf with a cause, which stays inside the hub.
func Wrap(kind Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// InvalidField returns an Invalid error about one field.
func InvalidField(field, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	return &Error{Kind: Invalid, Message: field + ": " + message, Details: []Detail{{field, message}}}
}

// InvalidFields returns an Invalid error about several fields, nil for none. The
// message tells of the first.
func InvalidFields(found []Detail) error {
	if len(found) == 0 {
		return nil
	}
	message := found[0].Field + ": " + found[0].Message
	if more := len(found) - 1; more > 0 {
		message += fmt.Sprintf(" (and %d more)", more)
	}
	return &Error{Kind: Invalid, Message: message, Details: found}
}

// KindOf returns the kind of the first Error in err's chain; Internal if none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
