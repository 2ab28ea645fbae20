package main

import (
	"context"
	"fmt"
	"time"
)

// fanOut measures how fast the hub calls 64 flows that all want each event.
func (l *lab) fanOut(ctx context.Context) error {
	const triggers, pending = 64, 20000
	tasks := int64(800)
	hub, err := l.start(ctx, "", nil)
	if err != nil {
		return err
	}
	defer hub.close()
	for i := range triggers {
		if err := hub.subscribe(ctx, i+1, queued, `"Created"`); err != nil {
			return err
		}
	}
	if _, err := load(ctx, hub.addr(), hub.key, 64, tasks, time.Minute, body(queued)); err != nil {
		return err
	}
	began, sent := time.Now(), hub.sink.Count()
	left := tasks*triggers - sent
	if err := hub.drained(ctx, tasks*triggers, time.Minute); err != nil {
		return err
	}
	l.row(fmt.Sprintf("deliveries per second to %d flows", triggers), "%.0f", float64(left)/time.Since(began).Seconds(), ">= 3000")
	l.row("  waiting when the clock started", "%.0f", float64(left), fmt.Sprintf(">= %d", pending))
	return nil
}
