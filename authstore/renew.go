package authstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/store"
)

// flight is a renewal under way in this process. err is set before done is closed.
type flight struct {
	done chan struct{}
	err  error
}

// rest keeps callers from a token address that failed.
type rest struct {
	until time.Time
	pause time.Duration
}

// renewed renews the token of an entry, or waits for whoever does, until ctx
// ends. After nil the snapshot holds another version of it.
func (s *Store) renewed(ctx context.Context, e *entry) error {
	f, err := s.fly(e)
	if err != nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fly starts the renewal of an entry unless it is under way. The error is
// Unavailable while its provider is left in peace.
func (s *Store) fly(e *entry) (*flight, error) {
	id := e.row.ID
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[id]; f != nil {
		return f, nil
	}
	if wait := s.rests[id].until.Sub(s.o.Clock.Now()); wait > 0 {
		return nil, unavailable(nil, wait, "the token address of integration %s failed; it is asked again soon", e.row.Integration)
	}
	f := &flight{done: make(chan struct{})}
	s.flights[id] = f
	go s.run(f, e)
	return f, nil
}

func (s *Store) underWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flights)
}

// run is one renewal, on a context of its own: who asked for it may go away.
func (s *Store) run(f *flight, e *entry) {
	defer func() {
		if p := recover(); p != nil { // its text may hold anything
			f.err = fmt.Errorf("panic while a token was renewed\n%s", debug.Stack())
		}
		s.land(f, e)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 3*s.callTimeout) // to begin, to call and to store
	defer cancel()
	if f.err = s.renew(ctx, e); errors.Is(f.err, context.DeadlineExceeded) {
		f.err = unavailable(f.err, time.Second, "the renewal of the token of integration %s took too long", e.row.Integration)
	}
}

// land lets the next renewal begin, after a pause if this one failed, and tells
// of the first failure.
func (s *Store) land(f *flight, e *entry) {
	id, first := e.row.ID, false
	s.mu.Lock()
	if f.err == nil || core.KindOf(f.err) == core.NeedsAuthorization {
		delete(s.rests, id)
	} else {
		last := s.rests[id].pause
		first = last == 0
		pause := min(max(2*last, time.Second), maxRest)
		until := pause
		if failed, ok := errors.AsType[*core.Error](f.err); ok {
			until = max(until, failed.RetryAfter)
		}
		s.rests[id] = rest{s.o.Clock.Now().Add(until), pause}
	}
	delete(s.flights, id)
	close(f.done)
	s.mu.Unlock()
	if first {
		s.o.Failing(e.shown, f.err)
	}
}

// renew gets a new token, by this replica or by another that is at it.
func (s *Store) renew(ctx context.Context, e *entry) error {
	if snap := s.snap.Load(); snap != nil && snap.byID[e.row.ID] != nil && snap.byID[e.row.ID].row.Version > e.row.Version {
		return nil // done while this one was about to begin
	}
	late := time.NewTimer(s.callTimeout)
	defer late.Stop()
	for {
		var row store.Authorization
		var won bool
		owner := rand.Text()
		err := s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			row, won, err = tx.LeaseAuthorization(ctx, e.row.ID, e.row.Version, owner, s.lease)
			return err
		})
		switch {
		case core.KindOf(err) == core.NotFound:
			s.refresh(ctx)
			return nil
		case err != nil:
			return err
		case won:
			return s.renewLeased(ctx, row, owner)
		case row.Version != e.row.Version:
			s.put(row)
			return nil
		}
		select {
		case <-time.After(s.poll + time.Duration(s.o.Chance()*2*float64(s.poll))):
		case <-late.C:
			return unavailable(nil, time.Second, "another replica is renewing the token of integration %s", e.row.Integration)
		}
	}
}

// renewLeased renews a row of which this replica holds the lease.
func (s *Store) renewLeased(ctx context.Context, row store.Authorization, owner string) error {
	defer s.release(row.ID, owner)
	defer s.keepLease(row.ID, owner)()
	p, err := s.party(s.open(row))
	if err != nil {
		return err
	}
	a, err := s.again(ctx, &p)
	if no, ok := errors.AsType[*refusal](err); ok {
		return s.refused(ctx, row, no.text)
	}
	if err != nil {
		return err
	}
	next := row
	if err := s.accept(&next, &p, a); err != nil {
		return err
	}
	saved, err := s.save(ctx, next)
	if err != nil {
		return err
	}
	if !saved {
		return s.superseded(ctx, &p, a)
	}
	next.Version++
	s.put(next)
	return nil
}

// save stores a row that holds a new token; by the version nothing is stored
// twice.
func (s *Store) save(ctx context.Context, row store.Authorization) (saved bool, err error) {
	err = s.insist(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		saved, err = tx.SaveAuthorization(ctx, row)
		return err
	})
	return saved, err
}

// insist writes, and tries again until ctx ends while the database is away: what
// it stores may be the only token that the provider still takes.
func (s *Store) insist(ctx context.Context, write func(context.Context, *store.Tx) error) error {
	for pause := s.poll; ; pause = min(2*pause, maxPause) {
		err := s.o.DB.Write(ctx, write)
		if kind := core.KindOf(err); err == nil || kind != core.Unavailable && kind != core.Uncertain {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// superseded takes the row that another has stored while a token was fetched.
// When that was an edit, nobody will ever use the new token.
func (s *Store) superseded(ctx context.Context, p *party, a *answer) error {
	row, err := s.o.DB.Authorization(ctx, p.e.row.ID)
	switch {
	case core.KindOf(err) == core.NotFound:
		s.refresh(ctx)
		s.revoke(ctx, p, a.tokens)
	case err != nil:
		return err
	default:
		s.put(row)
		if row.UpdatedMs != p.e.row.UpdatedMs { // edited: nobody will ever use it
			s.revoke(ctx, p, a.tokens)
		}
	}
	return nil
}

// refused takes a provider's no, unless another replica has brought a better
// token meanwhile.
func (s *Store) refused(ctx context.Context, row store.Authorization, reason string) error {
	row, moved, err := s.mark(ctx, row, reason)
	if err != nil || moved {
		return err
	}
	return needsAgain(row)
}

// mark makes an authorization wait for an administrator, with the reason, if it
// still is of that version. It returns the row as it stands then.
func (s *Store) mark(ctx context.Context, seen store.Authorization, reason string) (row store.Authorization, moved bool, err error) {
	now := s.o.Clock.Now().UnixMilli()
	err = s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if row, err = tx.LockAuthorization(ctx, seen.ID); err != nil {
			return err
		}
		if moved = row.Version != seen.Version; moved {
			return nil
		}
		row.Status, row.Reason, row.SinceMs = string(integration.Reauthorize), reason, now
		row.Tokens, row.TokenEndsMs, row.RenewMs, row.EndsMs, row.WarnedMs = nil, nil, nil, nil, nil
		_, err = tx.SaveAuthorization(ctx, row)
		return err
	})
	switch {
	case core.KindOf(err) == core.NotFound:
		s.refresh(ctx)
		return row, true, nil
	case err != nil:
		return row, false, err
	case moved:
		s.put(row)
		return row, true, nil
	}
	row.Version++
	s.changed(ctx, row, true)
	return row, false, nil
}

// keepLease keeps a lease up until the function that it returns is called: a
// token call may take longer than a lease, which is short so that another
// replica soon takes over from one that died.
func (s *Store) keepLease(id, owner string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(s.lease / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// A database that is away for longer than the lease lets another begin;
			// the version then decides whose token is kept.
			_ = s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
				return tx.KeepAuthorizationLease(ctx, id, owner, s.lease)
			})
		}
	}()
	return func() { cancel(); <-done }
}

// release gives a lease back that saving has not ended. When that fails it ends
// by itself.
func (s *Store) release(id, owner string) {
	ctx, cancel := context.WithTimeout(context.Background(), sideTimeout)
	defer cancel()
	_ = s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.ReleaseAuthorization(ctx, id, owner)
	})
}
