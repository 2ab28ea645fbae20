package authstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// id tells keys apart without telling anything about them.
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

// LoadKeyFile reads a key as ParseKey does from a regular file that only its
// owner can reach. The error is NotConfigured, names the file and what to do;
// it wraps fs.ErrNotExist when there is none.
func LoadKeyFile(path string) (Key, error) {
	// Non-blocking: opening a pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Key{}, core.Wrap(core.NotConfigured, err, "the master key file cannot be opened")
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return Key{}, core.Wrap(core.NotConfigured, err, "the master key file cannot be read")
	}
	if !info.Mode().IsRegular() {
		return Key{}, core.Errorf(core.NotConfigured, "master key file %s: not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Key{}, core.Errorf(core.NotConfigured,
			"master key file %s: mode is %04o, others than its owner can reach it; set it to 0600 (chmod 600)", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return Key{}, core.Wrap(core.NotConfigured, err, "the master key file cannot be read")
	}
	key, err := ParseKey(string(text))
	if err != nil {
		return Key{}, core.Wrap(core.NotConfigured, err, "master key file %s", path)
	}
	return key, nil
}

// CreateKeyFile makes a new random key and writes it to a file of mode 0600,
// which is on the disk when it returns. It never overwrites: the error wraps
// fs.ErrExist when the file is there. Whatever happens in the middle, the file
// is either whole or absent.
func CreateKeyFile(path string) (_ Key, err error) {
	var secret [keySize]byte
	_, _ = rand.Read(secret[:]) // never fails: crypto/rand ends the process instead
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".master-key-*") // O_EXCL, mode 0600
	if err != nil {
		return Key{}, fmt.Errorf("making the master key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(hex.EncodeToString(secret[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return Key{}, fmt.Errorf("making the master key: %w", err)
	}
	// A link, unlike a rename, fails when the name is taken.
	if err := os.Link(f.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return Key{}, fmt.Errorf("making the master key: %s is there already: %w", path, fs.ErrExist)
		}
		return Key{}, fmt.Errorf("making the master key: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return Key{}, fmt.Errorf("making the master key: %w", err)
	}
	return newKey(secret), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
