package execution

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"tandem/core"
	"tandem/core/store"
)

// Results keeps documents under an opaque key, for all replicas. A document may
// go before its time when its tenant has too many. It may be used from several
// goroutines.
type Results struct{ recorder *Recorder }

// NewResults returns Results that are written by the recorder.
func NewResults(r *Recorder) *Results { return &Results{r} }

// placeOf is the hash of tenant and key: who has the database has no keys.
func placeOf(tenant, key string) []byte {
	sum := sha256.Sum256([]byte(tenant + "\x00" + key))
	return sum[:]
}

// Put keeps a document for its life and returns its key: the given one, which a
// Put of the tenant has made, or a new one. When it returns, all replicas find
// the document; when it cannot be written before ctx ends, the key is empty. On
// SQLite, where this process is the only one, it does not wait for the disk. The
// value must not be changed any more.
func (r *Results) Put(ctx context.Context, tenant, key string, life time.Duration, value []byte) string {
	if key == "" {
		var b [24]byte
		_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
		key = base64.RawURLEncoding.EncodeToString(b[:])
	}
	now := r.recorder.o.Clock.Now()
	row := store.CachedResult{
		Key: placeOf(tenant, key), Tenant: tenant, MadeMs: now.UnixMilli(), LifeMs: life.Milliseconds(),
		EndsMs: now.Add(life).UnixMilli(), Value: value,
	}
	done := make(chan error, 1)
	write := func(ctx context.Context, tx *store.Tx) error { return tx.SaveCachedResult(ctx, row) }
	if !r.recorder.enqueue(entry{write, done}) {
		return ""
	}
	if r.recorder.o.DB.SQLite() {
		return key // Get flushes before it reads
	}
	go r.recorder.flush(ctx)
	select {
	case err := <-done:
		if err == nil {
			return key
		}
	case <-ctx.Done():
	}
	return ""
}

// Get returns the tenant's document under a key; NotFound when there is none any
// more.
func (r *Results) Get(ctx context.Context, tenant, key string) ([]byte, error) {
	r.recorder.settle(ctx)
	row, err := r.recorder.o.DB.CachedResult(ctx, tenant, placeOf(tenant, key), r.recorder.o.Clock.Now())
	return row.Value, gone(err)
}

// KeepAlive moves the end of the tenant's document to its life from now;
// NotFound when there is none any more, Timeout when ctx ended first.
func (r *Results) KeepAlive(ctx context.Context, tenant, key string) error {
	r.recorder.settle(ctx)
	return r.recorder.o.DB.WriteInTime(ctx, func(ctx context.Context, tx *store.Tx) error {
		found, err := tx.ExtendCachedResult(ctx, tenant, placeOf(tenant, key), r.recorder.o.Clock.Now())
		if err == nil && !found {
			err = gone(core.Errorf(core.NotFound, ""))
		}
		return err
	})
}

func gone(err error) error {
	if err == nil || core.KindOf(err) != core.NotFound {
		return err
	}
	return core.Errorf(core.NotFound, "there is nothing under this cacheKey, or not any more")
}
