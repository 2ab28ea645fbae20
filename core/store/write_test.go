package store_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/store"
)

var errBad = errors.New("bad member")

func TestWriteLeavesNothingOfAFailure(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		for _, c := range []struct {
			name string
			end  func() error
			want string
		}{
			{"error", func() error { return errBad }, "bad member"},
			{"panic", func() error { panic("poison") }, "poison"},
		} {
			err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				tx.After(func() { t.Error("After of a failure was called") })
				require.NoError(t, tx.InsertTask(ctx, newTask(c.name)))
				return c.end()
			})
			require.ErrorContains(t, err, c.want)
			require.Equal(t, core.Internal, core.KindOf(err))
			_, err = db.Task(t.Context(), c.name)
			require.Equal(t, core.NotFound, core.KindOf(err))
		}
		require.ErrorIs(t, db.Write(t.Context(), func(context.Context, *store.Tx) error { return errBad }), errBad)
	})
}

func TestWriteReadsItsOwnWritesAndOthersSeeThemAfterwards(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		write(t, db, func(tx *store.Tx) error {
			tx.After(func() {
				_, err := db.Task(ctx, "a")
				require.NoError(t, err, "After is called once it is on disk")
			})
			require.NoError(t, tx.InsertTask(ctx, newTask("a")))
			_, err := tx.Task(ctx, "a")
			require.NoError(t, err)
			_, err = db.Task(ctx, "a")
			require.Equal(t, core.NotFound, core.KindOf(err), "not committed yet")
			return nil
		})
	})
}

// Many writers at once, of which some fail in the middle of their work.
func TestAFailingMemberLeavesItsNeighboursWhole(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		const writers = 64
		var after [writers]atomic.Int64
		var group sync.WaitGroup
		for i := range writers {
			group.Go(func() {
				err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					tx.After(func() { after[i].Add(1) })
					if err := tx.InsertTask(ctx, newTask(fmt.Sprint(i))); err != nil {
						return err
					}
					switch {
					case i%14 == 0:
						panic("poison")
					case i%7 == 0:
						return errBad
					case i%5 == 0:
						return tx.InsertTask(ctx, newTask(fmt.Sprint(i))) // the database itself refuses
					}
					return tx.InsertEvents(ctx, fmt.Sprint(i), history(2))
				})
				if (err != nil) != (i%7 == 0 || i%5 == 0) {
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		group.Wait()
		for i := range writers {
			failed := i%7 == 0 || i%5 == 0
			_, err := db.Task(t.Context(), fmt.Sprint(i))
			require.Equal(t, failed, core.KindOf(err) == core.NotFound && err != nil, i)
			events, err := db.Events(t.Context(), fmt.Sprint(i))
			require.NoError(t, err)
			require.Len(t, events, 2*boolInt(!failed), i)
			require.EqualValues(t, boolInt(!failed), after[i].Load(), i)
		}
	})
}

func TestNoUpdateIsLost(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		const writers = 500
		zero := newTask("counter")
		zero.Data = make([]byte, 8)
		put(t, db, 0, zero)
		var group sync.WaitGroup
		var after atomic.Int64
		for range writers {
			group.Go(func() {
				err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					task, err := tx.Task(ctx, "counter")
					if err != nil {
						return err
					}
					task.Data = binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(task.Data)+1)
					tx.After(func() { after.Add(1) })
					return tx.UpdateTask(ctx, task)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		got := must(db.Task(t.Context(), "counter"))(t)
		require.EqualValues(t, writers, binary.BigEndian.Uint64(got.Data))
		require.EqualValues(t, writers+1, got.Version)
		require.EqualValues(t, writers, after.Load())
	})
}

func TestAfterIsForTheLastTryOnly(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		tries, after := 0, 0
		write(t, db, func(tx *store.Tx) error {
			tries++
			tx.After(func() { after++ })
			if tries == 1 {
				require.NoError(t, tx.InsertTask(t.Context(), newTask("a")))
				return store.ErrRetry
			}
			return tx.InsertTask(t.Context(), newTask("a")) // the first try left nothing
		})
		require.Equal(t, [2]int{2, 1}, [2]int{tries, after})
	})
}

func TestWriteOfACallerWhoLeft(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		gone, leave := context.WithCancel(t.Context())
		leave()
		err := db.Write(gone, func(context.Context, *store.Tx) error {
			t.Error("it was run")
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)

		// Once begun it is finished.
		during, leave := context.WithCancel(t.Context())
		require.NoError(t, db.Write(during, func(ctx context.Context, tx *store.Tx) error {
			leave()
			return tx.InsertTask(ctx, newTask("a"))
		}))
		_, err = db.Task(t.Context(), "a")
		require.NoError(t, err)
	})
}

// A caller whose time ends while others write leaves nothing either.
func TestWriteOfACallerWhoLeavesTheQueue(t *testing.T) {
	t.Parallel()
	db := open(t, sqliteURL(t))
	begun, release := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		err := db.Write(t.Context(), func(context.Context, *store.Tx) error {
			close(begun)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-begun
	ctx, leave := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	group.Go(func() {
		answer <- db.Write(ctx, func(context.Context, *store.Tx) error { panic("it was run") })
	})
	leave()
	require.ErrorIs(t, <-answer, context.Canceled) // at once, and not when the other has written
	close(release)
	group.Wait()
}

// A database that begins no transaction keeps many callers waiting as long as one.
func TestWritersWaitTogether(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	db, other := open(t, url), open(t, url)
	held, release := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		err := other.Write(t.Context(), func(context.Context, *store.Tx) error {
			close(held)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	const writers = 20 // each would wait for five seconds
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	errs := make(chan error, writers)
	for range writers {
		group.Go(func() {
			errs <- db.Write(ctx, func(context.Context, *store.Tx) error { panic("it was run") })
		})
	}
	for range writers {
		require.Equal(t, core.Unavailable, core.KindOf(<-errs))
	}
	close(release)
	group.Wait()
}

// TestWriteInTime: the caller is gone, and what has begun is finished, also when
// the database is closed.
func TestWriteInTime(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx, leave := context.WithCancel(t.Context())
		release, ended := make(chan struct{}), make(chan struct{})
		err := db.WriteInTime(ctx, func(ctx context.Context, tx *store.Tx) error {
			leave()
			<-release
			defer close(ended)
			return tx.InsertTask(ctx, newTask("a"))
		})
		require.Equal(t, core.Timeout, core.KindOf(err))
		go close(release)
		require.NoError(t, db.Close())
		<-ended
		err = db.WriteInTime(t.Context(), func(context.Context, *store.Tx) error { return errBad })
		require.Equal(t, core.Unavailable, core.KindOf(err))
	})
}

func TestCloseWhileWritersWait(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(*testing.T) string{"sqlite": sqliteURL, "postgres": postgresURL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(t.Context(), store.Options{URL: url(t), Clock: coretest.NewClock(noon)})
			require.NoError(t, err)
			require.NoError(t, db.Migrate(t.Context()))
			begun := make(chan struct{}, 200)
			var group sync.WaitGroup
			for i := range 200 {
				group.Go(func() {
					err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
						begun <- struct{}{}
						return tx.InsertTask(ctx, newTask(fmt.Sprint(i)))
					})
					if err != nil && core.KindOf(err) != core.Unavailable {
						t.Errorf("%v", err)
					}
				})
			}
			<-begun
			require.NoError(t, db.Close())
			group.Wait()

			err = db.Write(t.Context(), func(context.Context, *store.Tx) error { return nil })
			var refusal *core.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, core.Unavailable, refusal.Kind)
			require.Equal(t, "DATABASE_UNAVAILABLE", refusal.Code)
			require.Positive(t, refusal.RetryAfter)
			require.Error(t, db.Ping(t.Context()))
			require.NoError(t, db.Close(), "a second time does nothing")
		})
	}
}

func TestGroupsAreShared(t *testing.T) {
	t.Parallel()
	var groups, members atomic.Int64
	db, err := store.Open(t.Context(), store.Options{
		URL: sqliteURL(t), Clock: coretest.NewClock(noon),
		Grouped: func(size int, _ time.Duration) { groups.Add(1); members.Add(int64(size)) },
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	begun, release := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	put := func(id string, wait bool) {
		group.Go(func() {
			err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				if wait {
					close(begun)
					<-release
				}
				return tx.InsertTask(ctx, newTask(id))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	put("first", true)
	<-begun
	for i := range 100 {
		put(fmt.Sprint(i), false)
	}
	close(release)
	group.Wait()
	require.EqualValues(t, 101, members.Load())
	require.Less(t, groups.Load(), int64(101))
}
