package authstore

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"

	"tandem/core"
)

// A sealed value is: version (1 byte), key id (8), nonce (12), ciphertext with
// its tag (16 more than the plain text). The additional data that the tag also
// covers is the first nine bytes and the caller's text.
const (
	version    = 1
	idSize     = 8
	headerSize = 1 + idSize
)

const (
	checkPlace = "authstore:check"
	checkText  = "this database belongs to this key"
)

var (
	// ErrUnknownKey says that a value was sealed under a key that the Sealer
	// was not given.
	ErrUnknownKey = errors.New("sealed under a master key that is not configured")
	// ErrDamaged says that a value was changed, or belongs to another place
	// than the one it was read from.
	ErrDamaged = errors.New("sealed value is damaged or belongs elsewhere")
)

// Sealer seals and opens secrets with AES-256-GCM. It may be used by several
// goroutines at once, also while Use exchanges its keys. Nonces are random: one
// key is good for about four thousand million values.
type Sealer struct{ keys atomic.Pointer[keyring] }

type keyring struct {
	active [idSize]byte
	// A closure, so that printing a Sealer does not show the keys.
	key func(id [idSize]byte) (cipher.AEAD, bool)
}

// NewSealer returns a Sealer that seals under active and opens what was sealed
// under active or under one of older. The error is NotConfigured, for a zero
// Key.
func NewSealer(active Key, older ...Key) (*Sealer, error) {
	s := &Sealer{}
	return s, s.Use(active, older...)
}

// Use exchanges the keys: from now on active seals, and it and older open. The
// error is NotConfigured, for a zero Key, and leaves the keys as they were.
func (s *Sealer) Use(active Key, older ...Key) error {
	keys := make(map[[idSize]byte]cipher.AEAD, 1+len(older))
	for _, key := range append([]Key{active}, older...) {
		if key.reveal == nil {
			return core.Errorf(core.NotConfigured, "there is no master key")
		}
		secret := key.reveal()
		block, err := aes.NewCipher(secret[:])
		if err != nil {
			return fmt.Errorf("master key: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return fmt.Errorf("master key: %w", err)
		}
		keys[key.id()] = aead
	}
	s.keys.Store(&keyring{active: active.id(), key: func(id [idSize]byte) (cipher.AEAD, bool) {
		aead, ok := keys[id]
		return aead, ok
	}})
	return nil
}

// Seal returns plain sealed for one place, which ad names ("table:row:column").
// Neither argument is kept.
func (s *Sealer) Seal(ad string, plain []byte) []byte {
	keys := s.keys.Load()
	aead, _ := keys.key(keys.active)
	sealed := make([]byte, headerSize, headerSize+len(plain)+aead.Overhead())
	sealed[0] = version
	copy(sealed[1:], keys.active[:])
	return aead.Seal(sealed, nil, plain, place(sealed, ad))
}

// Open returns what Seal was given, if sealed is untouched and ad is the same.
// The error wraps ErrUnknownKey or ErrDamaged and shows nothing of the value.
func (s *Sealer) Open(ad string, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize || sealed[0] != version {
		return nil, ErrDamaged
	}
	aead, ok := s.keys.Load().key([idSize]byte(sealed[1:headerSize]))
	if !ok {
		return nil, fmt.Errorf("key id %s: %w", hex.EncodeToString(sealed[1:headerSize]), ErrUnknownKey)
	}
	plain, err := aead.Open(nil, nil, sealed[headerSize:], place(sealed[:headerSize], ad))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// place is the additional data: the header is of fixed length, so that no two
// pairs of header and ad give the same bytes.
func place(header []byte, ad string) []byte {
	data := make([]byte, 0, headerSize+len(ad))
	return append(append(data, header...), ad...)
}

// Check returns a sealed constant to keep in the database for Verify.
func (s *Sealer) Check() []byte { return s.Seal(checkPlace, []byte(checkText)) }

// Verify tells whether a value of Check was made under a key that the Sealer
// has. The error is NotConfigured: the hub must not start, for it could read no
// secret of this database.
func (s *Sealer) Verify(check []byte) error {
	plain, err := s.Open(checkPlace, check)
	if err == nil && string(plain) != checkText {
		err = ErrDamaged
	}
	if err != nil {
		return core.Wrap(core.NotConfigured, err, "the master key does not fit this database")
	}
	return nil
}
