package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/store"
)

// setupLife is how long a setup token may be used.
const setupLife = 24 * time.Hour

// NewSetupToken returns a token with which the first administrator of a tenant
// may make an account, once and within 24 hours. Earlier ones of the tenant end.
// Only its hash is stored.
func NewSetupToken(ctx context.Context, db *store.DB, clock core.Clock, tenant string) (token string, err error) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	token = base64.RawURLEncoding.EncodeToString(b[:])
	return token, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertSetupToken(ctx, sha256.Sum256([]byte(token)), tenant, clock.Now())
	})
}

// FirstRun tells whether no tenant has an account yet.
func (i *Identity) FirstRun(ctx context.Context) (bool, error) {
	some, err := i.o.DB.HasAccounts(ctx)
	return !some && err == nil, err
}

// Setup makes an administrator's account in the tenant of a setup token, which
// ends, and signs in. Errors: Unauthenticated for a token that is unknown, used
// or too old; Invalid with the field (upn, name, password) and Conflict for a
// UPN that is taken, both of which leave the token good; Throttled as SignIn's.
func (i *Identity) Setup(c echo.Context, token, upn, name, password string) (Person, error) {
	ctx := c.Request().Context()
	now := i.o.Clock.Now()
	succeeded, err := i.attempts.begin(now, c.RealIP(), "")
	if err != nil {
		return Person{}, err
	}
	bad := core.Errorf(core.Unauthenticated, "The setup token is not valid: it was used, has expired, or was replaced by a newer one.")
	hash := sha256.Sum256([]byte(strings.TrimSpace(token)))
	tenant, err := i.o.DB.SetupToken(ctx, hash, now.Add(-setupLife))
	if err != nil && core.KindOf(err) != core.NotFound {
		return Person{}, err
	}
	if err != nil || !i.knows(tenant) {
		return Person{}, bad
	}
	succeeded()
	if password == "" {
		return Person{}, core.InvalidField("password", "is needed")
	}
	account, err := i.draft(ctx, tenant, upn, name, Admin, password)
	if err != nil {
		return Person{}, err
	}
	err = i.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.UseSetupToken(ctx, hash); err != nil {
			return err
		}
		return insert(ctx, tx, account)
	})
	if err != nil {
		if core.KindOf(err) == core.NotFound {
			return Person{}, bad
		}
		return Person{}, err
	}
	return i.enter(c, account)
}

// People returns who may use the console of a tenant, by UPN.
func (i *Identity) People(ctx context.Context, tenant string) ([]Person, error) {
	accounts, err := i.o.DB.Accounts(ctx, tenant)
	people := make([]Person, len(accounts))
	for n, a := range accounts {
		people[n] = person(a)
	}
	return people, err
}

// Add gives somebody an account; without a password one for single sign-on. The
// name may be empty: then it is the UPN. Errors: Invalid with the field (upn,
// name, role, password), Conflict when the UPN is taken.
func (i *Identity) Add(ctx context.Context, tenant, upn, name string, role Role, password string) (Person, error) {
	account, err := i.draft(ctx, tenant, upn, name, role, password)
	if err != nil {
		return Person{}, err
	}
	err = i.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return insert(ctx, tx, account) })
	if err != nil {
		return Person{}, err
	}
	return person(account), nil
}

// insert stores a new account. Names are unique among all tenants, and who adds
// one is not told that another tenant has it.
func insert(ctx context.Context, tx *store.Tx, account store.Account) error {
	err := tx.InsertAccount(ctx, account)
	if core.KindOf(err) == core.Conflict {
		return unusable()
	}
	return err
}

func unusable() error {
	return core.Errorf(core.Conflict, "This user name cannot be used; choose another.")
}

// Change changes somebody's name and role, and the password unless it is empty.
// A new password ends all sessions of that person, the present one too if it is
// theirs, and turns an account for single sign-on into a local one. Errors:
// NotFound also for another tenant's, Invalid, Conflict for the role of the last
// administrator.
func (i *Identity) Change(ctx context.Context, tenant, id, name string, role Role, password string) error {
	before, err := i.o.DB.Account(ctx, id)
	if err != nil || before.Tenant != tenant {
		return nobody(err)
	}
	changed, err := i.draft(ctx, tenant, before.UPN, name, role, password)
	if err != nil {
		return err
	}
	return i.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		account, err := lockPerson(ctx, tx, tenant, id, role)
		if err != nil {
			return err
		}
		account.Name, account.Role = changed.Name, changed.Role
		if password != "" {
			account.Password, account.Issuer, account.Subject = changed.Password, "", ""
			if err := tx.EndSessions(ctx, id); err != nil {
				return err
			}
		}
		return tx.UpdateAccount(ctx, account)
	})
}

// Remove takes somebody's account away and ends their sessions. Errors: NotFound
// also for another tenant's, Conflict for the last administrator.
func (i *Identity) Remove(ctx context.Context, tenant, id string) error {
	return i.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := lockPerson(ctx, tx, tenant, id, ""); err != nil {
			return err
		}
		return tx.DeleteAccount(ctx, id)
	})
}

// lockPerson locks the account of a person who will have the role next, and the
// tenant's administrators, of whom one must stay.
func lockPerson(ctx context.Context, tx *store.Tx, tenant, id string, next Role) (store.Account, error) {
	admins, err := tx.LockRole(ctx, tenant, string(Admin)) // before the account: two who demote each other must meet here
	if err != nil {
		return store.Account{}, err
	}
	account, err := tx.LockAccount(ctx, id)
	if err != nil || account.Tenant != tenant {
		return store.Account{}, nobody(err)
	}
	if next != Admin && len(admins) == 1 && admins[0] == id {
		return store.Account{}, core.Errorf(core.Conflict, "%s is the last administrator. Make somebody else one first.", account.UPN)
	}
	return account, nil
}

// nobody is the error for an account that is not there, or is another tenant's
// when err is nil.
func nobody(err error) error {
	if err == nil || core.KindOf(err) == core.NotFound {
		return core.Errorf(core.NotFound, "There is no such person.")
	}
	return err
}

// draft returns a new account. Errors: Invalid with the field, or the hasher's.
func (i *Identity) draft(ctx context.Context, tenant, upn, name string, role Role, password string) (store.Account, error) {
	const longest = 100
	upn, err := normalUPN(upn)
	if err != nil {
		return store.Account{}, err
	}
	if i.o.Foreign(tenant, upn) {
		return store.Account{}, unusable()
	}
	if name = strings.TrimSpace(name); name == "" {
		name = upn
	}
	if name != upn && utf8.RuneCountInString(name) > longest {
		return store.Account{}, core.InvalidField("name", "is longer than %d characters", longest)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) {
		return store.Account{}, core.InvalidField("name", "holds characters that cannot be seen")
	}
	if !slices.Contains(Roles, role) {
		return store.Account{}, core.InvalidField("role", "choose one of the list")
	}
	now := i.o.Clock.Now()
	account := store.Account{ID: core.NewID(now), Tenant: tenant, UPN: upn, Name: name, Role: string(role), CreatedMs: now.UnixMilli()}
	if password == "" {
		return account, nil
	}
	if err := checkPassword(password, upn); err != nil {
		return store.Account{}, err
	}
	account.Password, err = i.hasher.hash(ctx, password)
	return account, err
}
