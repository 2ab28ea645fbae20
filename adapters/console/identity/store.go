package identity

import (
	"context"
	"errors"
	"time"

	"tandem/core"
	"tandem/core/store"
)

const (
	sessionLife = 12 * time.Hour   // from signing in, whatever is done
	sessionIdle = 30 * time.Minute // from the last request that a person made
)

// sessionStore keeps sessions for scs. Tokens arrive hashed. The ends that are
// kept are by the hub's clock; the one that scs gives is the session's latest.
type sessionStore struct {
	db     *store.DB
	clock  core.Clock
	sealer Sealer
}

// saving says, in the context of a save, what scs does not pass on.
type saving struct {
	account store.Account // signed in; zero: nobody
	fresh   bool          // the token is new
}

type savingKey struct{}

// FindCtx returns the data of a session that has not ended. What cannot be
// opened counts as ended: the person signs in again.
func (s *sessionStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	row, err := s.db.Session(ctx, token, s.clock.Now())
	if err != nil {
		if core.KindOf(err) == core.NotFound {
			return nil, false, nil
		}
		return nil, false, err
	}
	data, err := s.sealer.Open(place(token), row.Data)
	if err != nil {
		return nil, false, nil //nolint:nilerr // as above
	}
	return data, true, nil
}

// CommitCtx stores a session until it is idle for too long, or until latest. The
// error is NotFound when it was ended meanwhile, or when the account that is
// signing in is not what was proven.
func (s *sessionStore) CommitCtx(ctx context.Context, token string, data []byte, latest time.Time) error {
	save, _ := ctx.Value(savingKey{}).(saving)
	row := store.Session{
		Token: token, Account: save.account.ID, Data: s.sealer.Seal(place(token), data),
		EndsMs: min(latest.UnixMilli(), s.clock.Now().Add(sessionIdle).UnixMilli()),
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if !save.fresh {
			return tx.UpdateSession(ctx, row)
		}
		if row.Account != "" {
			// A password that was changed, or a person who was removed, while
			// this sign-in was under way must not leave a session behind.
			now, err := tx.LockAccount(ctx, row.Account)
			if err != nil {
				return err
			}
			if was := save.account; now.Password != was.Password || now.Issuer != was.Issuer || now.Subject != was.Subject {
				return core.Errorf(core.NotFound, "the account has changed")
			}
		}
		return tx.InsertSession(ctx, row)
	})
}

// DeleteCtx ends a session, even if the browser does not wait for the answer.
func (s *sessionStore) DeleteCtx(ctx context.Context, token string) error {
	return s.db.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error { return tx.DeleteSession(ctx, token) })
}

func place(token string) string { return "sessions:" + token + ":data" }

var errNoContext = errors.New("sessions are kept in the context of a request")

// Delete implements scs.Store, which uses DeleteCtx instead.
func (s *sessionStore) Delete(string) error { return errNoContext }

// Find implements scs.Store, which uses FindCtx instead.
func (s *sessionStore) Find(string) ([]byte, bool, error) { return nil, false, errNoContext }

// Commit implements scs.Store, which uses CommitCtx instead.
func (s *sessionStore) Commit(string, []byte, time.Time) error { return errNoContext }
