package mapping_test

import (
	"context"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/mapping"
)

// counted counts the files that are opened, folders aside.
type counted struct {
	fstest.MapFS
	opened *atomic.Int64
}

func (c counted) Open(name string) (fs.File, error) {
	if name != "." {
		c.opened.Add(1)
	}
	return c.MapFS.Open(name)
}

func TestWatch(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_700_000_000, 0)
	at := func(text string, seconds int) fstest.MapFS {
		f := file(text)
		f.ModTime = began.Add(time.Duration(seconds) * time.Second)
		return fstest.MapFS{"a.yaml": f}
	}
	type result struct {
		set      *mapping.Set
		findings []mapping.Finding
	}
	ctx, cancel := context.WithCancel(t.Context())
	var (
		opened  atomic.Int64
		now     = at("a: 1", 0)
		polled  = make(chan struct{})
		applied []result
		tick    = make(chan time.Time)
		done    = make(chan struct{})
	)
	known, _ := mapping.Read(now)
	go func() {
		defer close(done)
		mapping.Watch(ctx, func() fs.FS {
			<-polled // hands the folder over to Watch's goroutine
			return counted{now, &opened}
		}, known, time.Hour, tick, func(set *mapping.Set, findings []mapping.Finding) bool {
			applied = append(applied, result{set, findings})
			return true
		})
	}()
	// A poll has ended when the next tick is taken; what it applied is safe to
	// read once fsys waits again.
	tick <- began
	poll := func(next fstest.MapFS) []result {
		now, applied = next, nil
		polled <- struct{}{}
		tick <- began
		return applied
	}

	for range 3 {
		require.Empty(t, poll(at("a: 1", 0)), "as known")
	}
	reads := opened.Load()
	require.Empty(t, poll(at("a: 1", 0)))
	require.Equal(t, reads, opened.Load(), "an untouched folder is not read")
	require.Empty(t, poll(at("a: 1", 1)))
	require.Empty(t, poll(at("a: 1", 1)), "touched, same text")

	require.Empty(t, poll(at("a: 2", 2)), "somebody may still be writing")
	got := poll(at("a: 2", 2))
	require.Len(t, got, 1)
	require.Empty(t, got[0].findings)
	require.NotEqual(t, known.Hash, got[0].set.Hash)
	require.Len(t, poll(at("a: 3", 2)), 1, "written twice in one moment")

	require.Empty(t, poll(at("a: [", 3)))
	got = poll(at("a: [", 3))
	require.Len(t, got, 1)
	require.Len(t, got[0].findings, 1)
	require.Empty(t, poll(at("a: [", 4)))
	require.Empty(t, poll(at("a: [", 4)), "broken as before")
	require.Empty(t, poll(at("a: 1", 5)))
	require.Len(t, poll(at("a: 1", 5)), 1)
	require.Empty(t, poll(at("a: 1", 5)))

	var late []result
	for range 121 {
		late = append(late, poll(at("a: 9", 5))...)
	}
	require.Len(t, late, 1, "an old time on a new text")

	late = nil
	for n := range 20 {
		late = append(late, poll(at(fmt.Sprint("a: ", n), 10+n))...)
	}
	require.Len(t, late, 2, "a folder that never comes to rest")

	cancel()
	polled <- struct{}{}
	<-done
}

func TestWatchWithoutKnownAppliesTheFirstSet(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	tick := make(chan time.Time, 2)
	tick <- time.Time{}
	tick <- time.Time{}
	calls := 0
	mapping.Watch(ctx, func() fs.FS { return fstest.MapFS{"a.yaml": file("a: 1")} }, nil, time.Hour, tick,
		func(set *mapping.Set, _ []mapping.Finding) bool {
			calls++
			require.Len(t, set.Files, 1)
			cancel()
			return true
		})
	require.Equal(t, 1, calls)
}

// TestWatchTriesAgain: what could not be taken over now is not forgotten.
func TestWatchTriesAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	tick := make(chan time.Time)
	var hashes []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		mapping.Watch(ctx, func() fs.FS { return fstest.MapFS{"a.yaml": file("a: 1")} }, nil, time.Hour, tick,
			func(set *mapping.Set, _ []mapping.Finding) bool {
				hashes = append(hashes, set.Hash)
				return len(hashes) == 3
			})
	}()
	for range 10 {
		tick <- time.Time{}
	}
	cancel()
	<-done
	require.Len(t, hashes, 3)
	require.Equal(t, hashes[0], hashes[2])
}
