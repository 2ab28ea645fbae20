package integration

import (
	"strings"
	"time"
)

// Status is where an authorization stands.
type Status string

// The states of an authorization.
const (
	Pending     Status = "pending"     // nobody has granted it yet, or it was edited since
	Authorized  Status = "authorized"  // ready for use
	Reauthorize Status = "reauthorize" // the provider has withdrawn it; Reason says why
)

// Label returns the words that administrators read in the Node Authorizations
// table.
func (s Status) Label() string {
	switch s {
	case Authorized:
		return "Authorized"
	case Reauthorize:
		return "Re-authorization required"
	default:
		return "Authorization Pending"
	}
}

// Authorization is a named grant for an integration in a tenant, without its
// secrets.
type Authorization struct {
	ID          string
	Tenant      string
	Integration string
	Name        string
	Grant       string // id of one of the integration's grants
	Status      Status
	Reason      string    // with Reauthorize; also why the last try to authorize failed
	Since       time.Time // of the status
	Account     string    // who the provider says has granted it; may be empty
	Base        string    // the base address: the credential goes to its host and to no other
	Scopes      []string  // granted
	DefaultFor  []string  // ids of Node entries; "" stands for every one without a default of its own

	Values  map[string]string // of the fields that are no secrets
	Secrets []string          // names of the secret fields that have a value

	TokenExpires time.Time // of the access token; zero: unknown or none
	Expires      time.Time // of the grant itself, unless it is granted again; zero: unknown
	Created      time.Time
	CreatedBy    string
	Updated      time.Time
	UpdatedBy    string
	Version      int64
}

// NameKey is what two names of authorizations have in common when they are the
// same: case does not count.
func NameKey(name string) string { return strings.ToLower(name) }

// WarnBefore is how long before the known end of a grant administrators are
// told.
const WarnBefore = 14 * 24 * time.Hour

// EndsSoon tells whether the grant works and is known to end within WarnBefore.
func (a Authorization) EndsSoon(now time.Time) bool {
	return a.Status == Authorized && !a.Expires.IsZero() && a.Expires.Sub(now) < WarnBefore
}

// Draft is what an administrator fills in. Values holds fields of both kinds;
// with an update an empty secret keeps the stored one.
type Draft struct {
	Integration string
	Grant       string
	Name        string
	Values      map[string]string
}

// Use is a place that needs an authorization.
type Use struct {
	What string // for people, for example "Node Create Task" or "Mapping"
	File string // slash path in the mappings folder
	Line int
}

// Connection is where an authorization leads, without its secrets. Nobody
// changes it.
type Connection struct {
	Base     string            // base address of the API, without a slash at the end
	Settings map[string]string // values of the fields that are no secrets
}
