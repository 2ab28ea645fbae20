package core

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// Clock tells the time. It is lent to every room that needs the time, so that
// tests own it. Implementations may be called from several goroutines at once.
type Clock interface {
	Now() time.Time
}

// SystemClock is the machine's clock, in UTC.
type SystemClock struct{}

// Now returns the present moment.
func (SystemClock) Now() time.Time { return time.Now().UTC() }

// Stopwatch begins to measure how long something takes; the function it returns
// tells how long that was so far. It says nothing about what time it is.
func Stopwatch() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// NewID returns a random identifier in UUID form whose first 48 bits are t in
// milliseconds (RFC 9562, version 7), so that ids made later sort later.
func NewID(t time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	ms := uint64(t.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[:8], b[:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
