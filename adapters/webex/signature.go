package webex

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"tandem/core"
)

// The headers of a subscription's events. The second is spelled as Webex does.
const (
	signatureHeader = "X-WebexCC-Signature"
	timestampHeader = "X-WebExCC-Timestamp"
)

// eventWindow is how far the time of an event may be from the hub's.
const eventWindow = 300 * time.Second

// verify tells whether a request carries one signature, and that of its body
// under one of the secrets: HMAC-SHA256 in lower-case hexadecimal digits. An
// empty secret signs nothing.
func verify(h http.Header, body []byte, secrets [][]byte) bool {
	given := h.Values(signatureHeader)
	if len(given) != 1 || len(given[0]) != hex.EncodedLen(sha256.Size) {
		return false
	}
	right := false
	for _, secret := range secrets {
		if len(secret) == 0 {
			continue
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		// Compared as text: decoding would take upper-case digits too. Every
		// secret is tried, so that the time tells nothing.
		want := hex.EncodeToString(mac.Sum(nil))
		right = hmac.Equal([]byte(want), []byte(given[0])) || right
	}
	return right
}

// fresh checks the time of an event: the header and the signed body must say
// the same, within the window around now. Version 1 of the events says none in
// either. The error is Unauthenticated.
func fresh(h http.Header, stamp int64, stamped bool, now time.Time) error {
	given := h.Values(timestampHeader)
	if len(given) == 0 && !stamped {
		return nil
	}
	if len(given) != 1 || !stamped || given[0] != strconv.FormatInt(stamp, 10) {
		return core.Errorf(core.Unauthenticated, "%s: expected the comciscotimestamp of the body.", timestampHeader)
	}
	if far := now.Sub(time.UnixMilli(stamp)).Abs(); far > eventWindow {
		return core.Errorf(core.Unauthenticated, "The event is not of now: its time is more than %d s away.", int(eventWindow.Seconds()))
	}
	return nil
}
