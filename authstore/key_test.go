package authstore

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

// marker is recognizable in every notation.
var marker = []byte("\xfb\xff0123456789abcdefghijklmnopqrs!")

func markerKey(t testing.TB) Key {
	t.Helper()
	key, err := ParseKey(hex.EncodeToString(marker))
	require.NoError(t, err)
	return key
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	require.Len(t, marker, keySize)
	hexed, std := hex.EncodeToString(marker), base64.StdEncoding.EncodeToString(marker)
	require.Contains(t, std, "/")
	for _, text := range []string{
		hexed, strings.ToUpper(hexed), hexed + "\n", hexed + "\r\n", std, std + "\n", strings.TrimSuffix(std, "="),
	} {
		key, err := ParseKey(text)
		require.NoError(t, err, text)
		require.Equal(t, [keySize]byte(marker), key.reveal())
	}
	for _, text := range []string{
		"", "\n", hexed[:62], hexed + "00", hexed + "\n\n", " " + hexed, "zz" + hexed[2:], string(marker), std + "=",
		std[:40], strings.ReplaceAll(std, "/", "_"), std[:20] + "\n" + std[20:], hexed[:20] + "\n" + hexed[20:],
		std[:42] + "P", // bits beyond the last byte
	} {
		_, err := ParseKey(text)
		require.Equal(t, core.NotConfigured, core.KindOf(err), "%q", text)
		require.NotContains(t, err.Error(), "30313233")
	}
}

func TestKeyIsNeverShown(t *testing.T) {
	t.Parallel()
	key := markerKey(t)
	sealer, err := NewSealer(key)
	require.NoError(t, err)
	signer, err := NewSigner(base64.StdEncoding.EncodeToString(marker))
	require.NoError(t, err)
	type around struct{ key Key }
	var shown bytes.Buffer
	for _, v := range []any{key, &key, []Key{key}, around{key}, &around{key}, map[string]Key{"a": key}, sealer, *sealer.keys.Load(), signer, *signer} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%c"} {
			_, _ = fmt.Fprintf(&shown, verb+"\n", v)
		}
		text, err := json.Marshal(v)
		require.NoError(t, err)
		shown.Write(text)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("a", "v", v)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("a", "v", v)
	}
	text := strings.ToLower(shown.String())
	require.Contains(t, text, redacted)
	require.Equal(t, redacted, key.String())
	require.Equal(t, redacted, key.GoString())
	for _, piece := range []string{
		"01234567", "30313233", "48 49 50 51", "60 61 62 63", "0x30, 0x31", "+/8wmtiz", "'0' '1'", "0 1 2 3", "825294843", "892613426",
	} {
		require.NotContains(t, text, strings.ToLower(piece))
	}
}

func TestLoadKeyFile(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, text string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	good := hex.EncodeToString(marker) + "\n"
	for _, mode := range []os.FileMode{0o600, 0o400} {
		path := write(t, good, mode)
		keys, err := LoadKeyFile(path)
		require.NoError(t, err)
		require.Len(t, keys, 1)
		require.Equal(t, [keySize]byte(marker), keys[0].reveal())
		// A mounted secret is a link to the file.
		link := filepath.Join(t.TempDir(), "link")
		require.NoError(t, os.Symlink(path, link))
		_, err = LoadKeyFile(link)
		require.NoError(t, err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o610, 0o601, 0o777, 0o644, 0o620} {
		path := write(t, good, mode)
		_, err := LoadKeyFile(path)
		require.Equal(t, core.NotConfigured, core.KindOf(err))
		require.ErrorContains(t, err, path)
		require.ErrorContains(t, err, "0600")
	}
	for _, text := range []string{"", "short", good[:20], good + good, strings.Repeat("a", 1<<20)} {
		path := write(t, text, 0o600)
		_, err := LoadKeyFile(path)
		require.Equal(t, core.NotConfigured, core.KindOf(err))
		require.ErrorContains(t, err, path)
		require.NotContains(t, err.Error(), "30313233")
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{pipe, t.TempDir(), "/dev/null"} {
		_, err := LoadKeyFile(path)
		require.ErrorContains(t, err, "not a regular file")
	}
	_, err := LoadKeyFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "none")
}

func TestCreateKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	var all sync.WaitGroup
	made := make(chan Key, 8)
	for range cap(made) {
		all.Go(func() {
			if key, err := CreateKeyFile(path); err == nil {
				made <- key
			}
		})
	}
	all.Wait()
	close(made)
	key, ok := <-made
	require.True(t, ok)
	require.Empty(t, made, "one alone makes the file")

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	loaded, err := LoadKeyFile(path)
	require.NoError(t, err)
	require.Len(t, loaded, 1)
	require.Equal(t, key.reveal(), loaded[0].reveal())
	before, err := os.ReadFile(path)
	require.NoError(t, err)

	_, err = CreateKeyFile(path)
	require.ErrorIs(t, err, fs.ErrExist)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no leftovers")

	other, err := CreateKeyFile(filepath.Join(dir, "other.key"))
	require.NoError(t, err)
	require.NotEqual(t, key.reveal(), other.reveal())
	_, err = CreateKeyFile(filepath.Join(dir, "none", "master.key"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestReplaceKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	first, err := CreateKeyFile(path)
	require.NoError(t, err)
	want := []Key{NewKey(), first}
	require.NoError(t, ReplaceKeyFile(path, want))
	have, err := LoadKeyFile(path)
	require.NoError(t, err)
	require.Len(t, have, 2)
	for i := range want {
		require.Equal(t, want[i].ID(), have[i].ID())
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	nine := make([]Key, maxKeys+1)
	for i := range nine {
		nine[i] = NewKey()
	}
	for _, bad := range [][]Key{nine, {first, first}, {}} {
		require.Equal(t, core.NotConfigured, core.KindOf(ReplaceKeyFile(path, bad)))
		have, err := LoadKeyFile(path)
		require.NoError(t, err)
		require.Len(t, have, 2, "the file stays as it is")
	}
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, ReplaceKeyFile(link, want[:1]))
	have, err = LoadKeyFile(path)
	require.NoError(t, err)
	require.Len(t, have, 1, "a link stays a link")
}
