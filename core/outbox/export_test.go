package outbox

import (
	"context"
	"time"
)

// SetGrace makes the time short that handlers get when the hub stops.
func (w *Worker) SetGrace(d time.Duration) { w.grace = d }

// Renew is what the worker does now and then.
func (w *Worker) Renew(ctx context.Context) { w.renewLeases(ctx) }

// Claim is one look for what is due.
func (w *Worker) Claim(ctx context.Context) (time.Duration, error) { return w.claim(ctx, ctx) }
