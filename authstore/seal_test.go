package authstore

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

func randomKey(t testing.TB) Key {
	t.Helper()
	raw := make([]byte, keySize)
	_, err := rand.Read(raw)
	require.NoError(t, err)
	key, err := ParseKey(base64.StdEncoding.EncodeToString(raw))
	require.NoError(t, err)
	return key
}

func newSealer(t testing.TB, active Key, older ...Key) *Sealer {
	t.Helper()
	s, err := NewSealer(active, older...)
	require.NoError(t, err)
	return s
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	s := newSealer(t, randomKey(t))
	for _, size := range []int{0, 1, 100, 1 << 20} {
		plain := bytes.Repeat([]byte("secret "), size)
		sealed := s.Seal("t:r:c", plain)
		require.Len(t, sealed, 1+8+12+16+len(plain))
		require.NotContains(t, string(sealed), "secret")
		again := s.Seal("t:r:c", plain)
		require.NotEqual(t, sealed, again)
		opened, err := s.Open("t:r:c", sealed)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, opened))
	}
}

func TestSwappedRows(t *testing.T) {
	t.Parallel()
	s := newSealer(t, randomKey(t))
	places := []string{"trigger:1:url", "trigger:2:url", "trigger:1:secret", "trigger:1:ur", "trigger:1:urll", "", "\x01"}
	for _, from := range places {
		sealed := s.Seal(from, []byte("secret"))
		for _, to := range places {
			plain, err := s.Open(to, sealed)
			if from == to {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, ErrDamaged)
			require.Nil(t, plain)
		}
	}
}

func TestKeysOfTwoAges(t *testing.T) {
	t.Parallel()
	first, second, third := randomKey(t), randomKey(t), randomKey(t)
	old := newSealer(t, first)
	sealed := old.Seal("a", []byte("secret"))
	both := newSealer(t, second, first)
	plain, err := both.Open("a", sealed)
	require.NoError(t, err)
	require.Equal(t, "secret", string(plain))

	_, err = old.Open("a", both.Seal("a", []byte("secret")))
	require.ErrorIs(t, err, ErrUnknownKey)
	require.NotErrorIs(t, err, ErrDamaged)
	require.NotContains(t, err.Error(), "secret")
	_, err = newSealer(t, third).Open("a", sealed)
	require.ErrorIs(t, err, ErrUnknownKey)

	_, err = NewSealer(Key{})
	require.Equal(t, core.NotConfigured, core.KindOf(err))
	_, err = NewSealer(first, Key{})
	require.Equal(t, core.NotConfigured, core.KindOf(err))
}

func TestCheck(t *testing.T) {
	t.Parallel()
	first, second := randomKey(t), randomKey(t)
	check := newSealer(t, first).Check()
	require.NoError(t, newSealer(t, first).Verify(check))
	require.NoError(t, newSealer(t, second, first).Verify(check))

	err := newSealer(t, second).Verify(check)
	require.Equal(t, core.NotConfigured, core.KindOf(err))
	require.ErrorContains(t, err, "does not fit this database")
	require.ErrorIs(t, err, ErrUnknownKey)
	for _, bad := range [][]byte{nil, {}, check[:8], check[:9], check[:len(check)-1], newSealer(t, first).Seal(checkPlace, nil)} {
		err := newSealer(t, first).Verify(bad)
		require.Equal(t, core.NotConfigured, core.KindOf(err))
	}
}

func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	s := newSealer(t, randomKey(t))
	sealed := s.Seal("a", []byte("secret"))
	for i := range sealed {
		for bit := range 8 {
			changed := slices.Clone(sealed)
			changed[i] ^= 1 << bit
			plain, err := s.Open("a", changed)
			require.Error(t, err)
			require.Nil(t, plain)
			require.NotContains(t, err.Error(), "secret")
		}
		_, err := s.Open("a", sealed[:i])
		require.Error(t, err)
	}
	_, err := s.Open("a", append(sealed, 0))
	require.ErrorIs(t, err, ErrDamaged)
}

// FuzzOpen: nothing opens but what was sealed, where it was sealed.
func FuzzOpen(f *testing.F) {
	key, err := ParseKey("MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=")
	require.NoError(f, err)
	s := newSealer(f, key)
	sealed := s.Seal("t:r:c", []byte("plain text that is long enough to be seen"))
	f.Add("t:r:c", sealed)
	f.Add("t:r:d", sealed)
	f.Add("", sealed[:headerSize])
	f.Fuzz(func(t *testing.T, ad string, mutated []byte) {
		plain, err := s.Open(ad, mutated)
		if ad == "t:r:c" && bytes.Equal(mutated, sealed) {
			require.NoError(t, err)
			return
		}
		// A corpus entry of another run is another valid value; it can be
		// nothing else.
		if err == nil {
			require.Equal(t, "t:r:c", ad)
			require.Equal(t, "plain text that is long enough to be seen", string(plain))
			return
		}
		require.Nil(t, plain)
		require.NotContains(t, err.Error(), "plain text")
	})
}

func TestSealerIsShared(t *testing.T) {
	t.Parallel()
	s := newSealer(t, randomKey(t), randomKey(t))
	var all sync.WaitGroup
	errs := make(chan error, 16)
	for g := range cap(errs) {
		all.Go(func() {
			for i := range 200 {
				ad, want := fmt.Sprint("row:", g), fmt.Sprint("secret ", i)
				plain, err := s.Open(ad, s.Seal(ad, []byte(want)))
				if err == nil && string(plain) != want {
					err = fmt.Errorf("got another value")
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	require.Empty(t, errs)
}

func BenchmarkSeal(b *testing.B) {
	s := newSealer(b, randomKey(b))
	plain := make([]byte, 512)
	for b.Loop() {
		s.Seal("trigger:1:url", plain)
	}
}
