package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"tandem/core"
)

// The cost of a password: 19 MiB for about 20 ms of one core.
const (
	hashMemory = 19 << 10 // KiB
	hashTime   = 2
	hashLanes  = 1
	hashSalt   = 16
	hashBytes  = 32

	hashesAtOnce = 2
	hashWait     = 10 * time.Second
)

const (
	minPassword = 12
	maxPassword = 128
)

// hasher turns passwords into hashes, a few at a time, so that a flood of
// sign-ins cannot take the memory that the hub's work needs.
type hasher struct {
	// dummy is what the password of an unknown name is compared with: no password
	// is known to give it, and the answer is not looked at.
	dummy string
	slots chan struct{}
	key   func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte
}

func newHasher() *hasher {
	return &hasher{
		dummy: phc(make([]byte, hashSalt), make([]byte, hashBytes)),
		slots: make(chan struct{}, hashesAtOnce), key: argon2.IDKey,
	}
}

// hash returns the PHC string of a password. The error is Unavailable when too
// many others wait, or the context's.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, hashSalt)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the process instead
	key, err := h.derive(ctx, password, salt)
	if err != nil {
		return "", err
	}
	return phc(salt, key), nil
}

// verify tells whether stored is the hash of the password. Errors are hash's.
func (h *hasher) verify(ctx context.Context, stored, password string) (bool, error) {
	salt, want, err := parsePHC(stored)
	if err != nil {
		return false, err
	}
	key, err := h.derive(ctx, password, salt)
	return err == nil && subtle.ConstantTimeCompare(key, want) == 1, err
}

func (h *hasher) derive(ctx context.Context, password string, salt []byte) ([]byte, error) {
	wait, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
	case <-wait.Done():
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e := core.Errorf(core.Unavailable, "Too many people are signing in. Try again in a moment.")
		e.RetryAfter = hashWait
		return nil, e
	}
	defer func() { <-h.slots }()
	return h.key([]byte(password), salt, hashTime, hashMemory, hashLanes, hashBytes), nil
}

const phcHead = "$argon2id$v=19$m=19456,t=2,p=1$"

func phc(salt, key []byte) string {
	text := base64.RawStdEncoding.EncodeToString
	return phcHead + text(salt) + "$" + text(key)
}

func parsePHC(stored string) (salt, key []byte, err error) {
	rest, ours := strings.CutPrefix(stored, phcHead)
	first, second, two := strings.Cut(rest, "$")
	if !ours || !two {
		return nil, nil, errors.New("stored password: not of the form that is written here")
	}
	if salt, err = base64.RawStdEncoding.DecodeString(first); err == nil {
		key, err = base64.RawStdEncoding.DecodeString(second)
	}
	if err != nil || len(key) != hashBytes {
		return nil, nil, errors.New("stored password: damaged")
	}
	return salt, key, nil
}

// checkPassword returns an Invalid error for a password that may not be chosen.
func checkPassword(password, upn string) error {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return core.InvalidField("password", "holds bytes that are no text")
	case n < minPassword || n > maxPassword:
		return core.InvalidField("password", "use %d to %d characters", minPassword, maxPassword)
	case strings.EqualFold(password, upn):
		return core.InvalidField("password", "must differ from the user name")
	}
	return nil
}
