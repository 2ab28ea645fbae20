package identity

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"

	"tandem/core"
	"tandem/core/store"
)

// Role says what a person may do in the console.
type Role string

// The roles, from the one that may do everything to the one that looks on.
const (
	Admin      Role = "admin"
	Integrator Role = "integrator"
	Supervisor Role = "supervisor"
	Agent      Role = "agent"
	Viewer     Role = "viewer"
)

// Roles lists the roles in the order in which they are offered.
var Roles = []Role{Admin, Integrator, Supervisor, Agent, Viewer}

// Label returns the role's name for people.
func (r Role) Label() string {
	switch r {
	case Admin:
		return "Administrator"
	case Integrator:
		return "Integrator"
	case Supervisor:
		return "Supervisor"
	case Agent:
		return "Agent"
	case Viewer:
		return "Viewer"
	}
	return string(r)
}

// Person is somebody who may use the console of one tenant.
type Person struct {
	ID           string
	Tenant       string
	UPN          string // lower case
	Name         string
	Role         Role
	SingleSignOn bool // signs in through the sign-on service and has no password here
	Created      time.Time
}

// Sealer keeps session data from readers of the database. Open returns what
// Seal was given only for the same ad, which names the place it is kept at. It
// is used by several goroutines at once.
type Sealer interface {
	Seal(ad string, plain []byte) []byte
	Open(ad string, sealed []byte) ([]byte, error)
}

// SignOn is the organization's own sign-on service. It is used by several
// goroutines at once.
type SignOn interface {
	// Begin returns the address to send the browser to, and a text to keep in
	// its session for Finish.
	Begin(ctx context.Context) (address, secret string, err error)
	// Finish returns who came back with an answer. Errors are Unauthenticated
	// with a text for people, or Unavailable.
	Finish(ctx context.Context, secret string, answer url.Values) (issuer, subject, upn string, err error)
}

// Options are what an Identity is built from. All are needed but the last two.
type Options struct {
	DB           *store.DB
	Clock        core.Clock
	Sealer       Sealer
	Tenants      func() []string // of the directory; people of other tenants cannot sign in
	SingleSignOn SignOn          // nil: there is none

	// Foreign tells whether a user name is another tenant's to give; nil: none is.
	Foreign func(tenant, upn string) bool
}

// Identity knows the people and their sessions. Its methods may be called from
// several goroutines at once; those that take an echo.Context need Middleware
// around the route.
type Identity struct {
	o        Options
	sessions *scs.SessionManager
	cross    *http.CrossOriginProtection
	hasher   *hasher
	attempts *attempts
}

// New returns an Identity. It does no work before the first request.
func New(o Options) *Identity {
	if o.Foreign == nil {
		o.Foreign = func(string, string) bool { return false }
	}
	return &Identity{
		o: o, cross: http.NewCrossOriginProtection(),
		// Not scs.New: it starts a goroutine that never ends, for a store of its own.
		sessions: &scs.SessionManager{
			Lifetime: sessionLife, HashTokenInStore: true, Codec: scs.GobCodec{},
			Store: &sessionStore{db: o.DB, clock: o.Clock, sealer: o.Sealer},
		},
		hasher: newHasher(), attempts: newAttempts(),
	}
}

// Prune deletes sessions that have ended and setup tokens that are too old.
func (i *Identity) Prune(ctx context.Context) error {
	const batch = 1000
	now := i.o.Clock.Now()
	for n := batch; n == batch; {
		err := i.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			if n, err = tx.PruneSessions(ctx, now, batch); err != nil {
				return err
			}
			return tx.PruneSetupTokens(ctx, now.Add(-setupLife))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *Identity) knows(tenant string) bool { return slices.Contains(i.o.Tenants(), tenant) }

func person(a store.Account) Person {
	return Person{
		ID: a.ID, Tenant: a.Tenant, UPN: a.UPN, Name: a.Name, Role: Role(a.Role),
		SingleSignOn: a.Password == "", Created: store.FromMilli(a.CreatedMs),
	}
}
