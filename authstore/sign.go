package authstore

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"time"

	"tandem/core"
)

// secretPrefix begins a secret of the Standard Webhooks specification.
const secretPrefix = "whsec_"

// The specification's bounds for a secret, in bytes.
const minSecret, maxSecret = 24, 64

// NewSecret returns a random Standard Webhooks secret of 32 bytes.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// Signer signs webhooks as the Standard Webhooks specification says. It may be
// used by several goroutines at once.
type Signer struct {
	mac func() hash.Hash // a closure, so that printing a Signer does not show the secret
}

// NewSigner returns a Signer for a secret as NewSecret makes them, with or
// without its prefix. The error is Invalid and shows nothing of the secret.
func NewSigner(secret string) (*Signer, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, secretPrefix))
	if err != nil || len(key) < minSecret || len(key) > maxSecret {
		return nil, core.Errorf(core.Invalid, "a webhook secret must be %s and 24 to 64 bytes in base64", secretPrefix)
	}
	return &Signer{mac: func() hash.Hash { return hmac.New(sha256.New, key) }}, nil
}

// Sign returns the value of the header webhook-signature for a message whose
// webhook-id is id and whose webhook-timestamp is at in whole Unix seconds.
func (s *Signer) Sign(id string, at time.Time, body []byte) string {
	head := make([]byte, 0, len(id)+22)
	head = append(append(head, id...), '.')
	head = append(strconv.AppendInt(head, at.Unix(), 10), '.')
	mac := s.mac()
	mac.Write(head)
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
