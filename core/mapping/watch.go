package mapping

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

const (
	// fullEvery is the number of polls after which contents are read although
	// sizes and times are as before: some tools put old times on new files.
	fullEvery = 120
	// restless is the number of polls after which a folder is read although
	// somebody goes on writing into it.
	restless = 8
)

// Watch looks at the folder that fsys returns, once in an interval, until ctx
// ends, and calls apply with the set and its findings when they are others than
// before: first other than known (the set that the caller serves; nil: none).
// It looks at sizes and times, and at contents only when those changed and two
// looks found them alike: somebody may still be writing. Calls
// of apply come one after the other, on Watch's goroutine; apply keeps the last
// good set by leaving a set with findings alone. When it returns false, because
// it could not do its work now, it is called again with the next look. A tick
// that is lent stands for the interval.
func Watch(ctx context.Context, fsys func() fs.FS, known *Set, interval time.Duration,
	tick <-chan time.Time, apply func(*Set, []Finding) bool,
) {
	if tick == nil {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	w := watcher{apply: apply}
	if known != nil {
		w.hash = known.Hash
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			w.poll(fsys())
		}
	}
}

type watcher struct {
	apply    func(*Set, []Finding) bool
	again    bool // apply could not do its work
	stamp    [sha256.Size]byte
	looks    int // that found the stamp unchanged
	moving   int // polls in a row that found it changed
	polls    int // since the contents were read
	hash     string
	findings []Finding
}

func (w *watcher) poll(fsys fs.FS) {
	w.polls++
	if stamp := stampOf(fsys); stamp != w.stamp {
		w.stamp, w.looks = stamp, 0
		if w.moving++; w.moving < restless {
			return
		}
	}
	w.moving = 0
	w.looks++
	// A file may be written twice within the grain of the file system's clock:
	// the contents are read once more.
	if w.looks > 2 && w.polls < fullEvery && !w.again {
		return
	}
	w.polls = 0
	set, findings := Read(fsys)
	if set.Hash == w.hash && slices.Equal(findings, w.findings) && !w.again {
		return
	}
	w.hash, w.findings = set.Hash, findings
	w.again = !w.apply(set, findings)
}

// stampOf sums up names, sizes, times and modes.
func stampOf(fsys fs.FS) [sha256.Size]byte {
	h := sha256.New()
	walk(fsys, func(name string, entry fs.DirEntry, err error) {
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if err != nil {
			_, _ = fmt.Fprintf(h, "%q %v\n", name, err)
			return
		}
		_, _ = fmt.Fprintf(h, "%q %d %d %s\n", name, info.Size(), info.ModTime().UnixNano(), info.Mode())
	})
	return [sha256.Size]byte(h.Sum(nil))
}
