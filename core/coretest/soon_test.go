package coretest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/coretest"
)

// told is a test that keeps what it was told instead of failing.
type told struct {
	testing.TB
	text string
}

func (*told) Helper() {}

func (*told) FailNow() {}

func (t *told) Errorf(format string, args ...any) { t.text += fmt.Sprintf(format, args...) }

func TestSoonTriesWhatIsSlow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		took  []time.Duration // by each try, the last again and again
		tries int
		want  string // empty: it is soon
	}{
		"at once":          {[]time.Duration{time.Millisecond}, 1, ""},
		"on a busy day":    {[]time.Duration{time.Hour, time.Minute, time.Second, 19 * time.Millisecond}, 4, ""},
		"just not":         {[]time.Duration{20 * time.Millisecond}, 100, `"20ms" is not less than "20ms"`},
		"later":            {[]time.Duration{time.Second, 40 * time.Millisecond, time.Second}, 11, `"40ms" is not less than "20ms"`},
		"never, and costs": {[]time.Duration{time.Minute}, 6, `"1m0s" is not less than "20ms"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fails := told{TB: t}
				made := 0
				coretest.Soon(&fails, 20*time.Millisecond, "a node", func() {
					time.Sleep(c.took[min(made, len(c.took)-1)]) // the bubble's time
					made++
				})
				require.Equal(t, c.tries, made)
				if c.want == "" {
					require.Empty(t, fails.text)
					return
				}
				require.Contains(t, fails.text, c.want)
				require.Contains(t, fails.text, fmt.Sprintf("a node: the quickest of %d tries", c.tries))
			})
		})
	}
}

func TestSoonByTakesWhatItIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		made := 0
		coretest.SoonBy(t, 20*time.Millisecond, "a node", func() time.Duration {
			time.Sleep(time.Minute) // its preparations
			made++
			return 19 * time.Millisecond
		})
		require.Equal(t, 1, made)
	})
}
