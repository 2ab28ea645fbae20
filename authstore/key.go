package authstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"tandem/core"
)

const (
	keySize  = 32
	redacted = "[master key]"
)

// Key is a master key. It is a value to pass around, never to print: every way
// of formatting it gives a fixed text. The zero Key is no key.
type Key struct {
	// A closure: fmt cannot call the methods of a Key in an unexported field and
	// prints what it finds there, for some verbs through pointers too.
	reveal func() [keySize]byte
}

func newKey(secret [keySize]byte) Key {
	return Key{reveal: func() [keySize]byte { return secret }}
}

// String returns a fixed text.
func (Key) String() string { return redacted }

// GoString returns a fixed text.
func (Key) GoString() string { return redacted }

// Format writes a fixed text for every verb.
func (Key) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue returns a fixed text.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a fixed text.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ID tells keys apart without telling anything about them.
func (k Key) ID() string {
	id := k.id()
	return hex.EncodeToString(id[:])
}

func (k Key) id() (id [idSize]byte) {
	h := sha256.New()
	h.Write([]byte("tandem master key id v1\x00"))
	secret := k.reveal()
	h.Write(secret[:])
	copy(id[:], h.Sum(nil))
	return id
}

// ParseKey reads a key of 32 bytes, written as 64 hexadecimal digits or in
// standard base64 with or without padding; one line break may follow. The error
// is NotConfigured and shows nothing of the text.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	var raw []byte
	var err error
	if len(text) == hex.EncodedLen(keySize) {
		raw, err = hex.DecodeString(text)
	} else {
		raw, err = base64.RawStdEncoding.Strict().DecodeString(strings.TrimSuffix(text, "="))
	}
	// The decoder skips line breaks, so that the length of the text counts too.
	if err != nil || len(raw) != keySize || strings.ContainsAny(text, "\r\n") {
		return Key{}, core.Errorf(core.NotConfigured,
			"the master key must be 32 bytes, written as 64 hexadecimal digits or in base64")
	}
	return newKey([keySize]byte(raw)), nil
}

// maxKeys bounds the keys of a file: one seals, one is about to, and some whose
// values were not sealed anew yet.
const maxKeys = 8

// ParseKeys reads one key a line, each as ParseKey does: the first seals, all of
// them open. The error is NotConfigured and shows nothing of the text.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	for line := range strings.Lines(text) {
		key, err := ParseKey(line)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, checkKeys(keys)
}

func checkKeys(keys []Key) error {
	seen := map[[idSize]byte]bool{}
	for _, key := range keys {
		seen[key.id()] = true
	}
	switch {
	case len(keys) == 0:
		return core.Errorf(core.NotConfigured, "there is no master key")
	case len(seen) < len(keys) || len(keys) > maxKeys:
		return core.Errorf(core.NotConfigured, "master keys: want at most %d, each once; tandem master-key prune takes away those that are not needed", maxKeys)
	}
	return nil
}

// LoadKeyFile reads keys as ParseKeys does from a regular file that only its
// owner can reach. The error is NotConfigured, names the file and what to do;
// it wraps fs.ErrNotExist when there is none.
func LoadKeyFile(path string) ([]Key, error) {
	// Non-blocking: opening a pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, core.Wrap(core.NotConfigured, err, "the master key file cannot be opened")
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, core.Wrap(core.NotConfigured, err, "the master key file cannot be read")
	}
	if !info.Mode().IsRegular() {
		return nil, core.Errorf(core.NotConfigured, "master key file %s: not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, core.Errorf(core.NotConfigured,
			"master key file %s: mode is %04o, others than its owner can reach it; set it to 0600 (chmod 600)", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return nil, core.Wrap(core.NotConfigured, err, "the master key file cannot be read")
	}
	keys, err := ParseKeys(string(text))
	if err != nil {
		return nil, core.Wrap(core.NotConfigured, err, "master key file %s", path)
	}
	return keys, nil
}

// NewKey returns a new random key.
func NewKey() Key {
	var secret [keySize]byte
	_, _ = rand.Read(secret[:]) // never fails: crypto/rand ends the process instead
	return newKey(secret)
}

// CreateKeyFile makes a new random key and writes it to a file of mode 0600,
// which is on the disk when it returns. It never overwrites: the error wraps
// fs.ErrExist when the file is there. Whatever happens in the middle, the file
// is either whole or absent.
func CreateKeyFile(path string) (Key, error) {
	key := NewKey()
	return key, WriteKeyFile(path, []Key{key})
}

// WriteKeyFile is CreateKeyFile for keys that there are.
func WriteKeyFile(path string, keys []Key) error {
	// A link, unlike a rename, fails when the name is taken.
	return putKeyFile(path, keys, os.Link)
}

// ReplaceKeyFile writes keys in place of a file's, which keeps its owner and mode; readers
// see the old or the new ones. The error is NotConfigured for keys that could
// not be loaded again.
func ReplaceKeyFile(path string, keys []Key) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("writing the master key: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("writing the master key: %w", err)
	}
	return putKeyFile(path, keys, func(from, to string) error {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			if err := errors.Join(os.Chown(from, int(owner.Uid), int(owner.Gid)), os.Chmod(from, info.Mode().Perm())); err != nil {
				return err
			}
		}
		return os.Rename(from, to)
	})
}

func putKeyFile(path string, keys []Key, put func(from, to string) error) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".master-key-*") // O_EXCL, mode 0600
	if err != nil {
		return fmt.Errorf("writing the master key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	for _, key := range keys {
		secret := key.reveal()
		if _, err = f.WriteString(hex.EncodeToString(secret[:]) + "\n"); err != nil {
			break
		}
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = put(f.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("writing the master key %s: %w", path, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
