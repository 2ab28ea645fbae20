package main

import (
	"context"
	"fmt"
	"time"

	"tandem/cmd/internal/sandbox"
	"tandem/core/store/pgtest"
)

// latency measures how long an event takes to its flow while nothing else
// happens, on both databases.
func (l *lab) latency(ctx context.Context) error {
	if err := l.idle(ctx, "SQLite", ""); err != nil {
		return err
	}
	url, err := pgtest.Open(ctx)
	if err != nil {
		return err
	}
	return l.idle(ctx, "PostgreSQL", url)
}

// idle adds tasks one at a time and waits for the callback of each. The event
// happens between the start of the call and its answer: the time from the start
// is the event's and a little more.
func (l *lab) idle(ctx context.Context, name, url string) error {
	samples, pause := 300, 10*time.Millisecond
	if l.quick {
		samples = 100
	}
	arrived := make(chan time.Time, 16)
	hub, err := l.start(ctx, url, func([]byte) { arrived <- time.Now() })
	if err != nil {
		return err
	}
	defer hub.close()
	if err := hub.subscribe(ctx, 1, queued, `"Created"`); err != nil {
		return err
	}
	c, err := sandbox.Dial(ctx, hub.addr(), hub.key)
	if err != nil {
		return err
	}
	defer c.Close()
	var whole, behind []float64
	text := body(queued)
	for i := range samples + 20 { // the first ones warm up
		time.Sleep(pause)
		began := time.Now()
		if err := add(c, text); err != nil {
			return err
		}
		answered := time.Now()
		select {
		case at := <-arrived:
			if i >= 20 {
				whole = append(whole, ms(at.Sub(began)))
				behind = append(behind, ms(at.Sub(answered)))
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Second):
			return fmt.Errorf("the callback of task %d did not come within 10 s", i)
		}
	}
	l.row(name+": event to callback, ms, p50", "%.1f", median(whole), "<= 8")
	l.row("  p99", "%.1f", quantile(whole, 0.99), "<= 40")
	l.row("  from the caller's answer on, p50", "%.1f", median(behind), "")
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
