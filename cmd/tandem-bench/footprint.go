package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// footprint measures a hub that has many ended tasks in its database.
func (l *lab) footprint(ctx context.Context) error {
	tasks, starts := int64(100_000), 5
	if l.quick {
		tasks, starts = 10_000, 3
	}
	hub, err := l.start(ctx, "", nil)
	if err != nil {
		return err
	}
	defer func() { hub.close() }()
	made, err := load(ctx, hub.addr(), hub.key, 64, tasks, 2*time.Minute, body(ending))
	if err != nil {
		return err
	}
	loaded, err := resident(hub.PID())
	if err != nil {
		return err
	}
	var cold, memory []float64
	for range starts {
		hub.Kill()
		next, err := hub.setup.Start(ctx, nil)
		if err != nil {
			return err
		}
		hub.Hub = next
		if _, err := load(ctx, hub.addr(), hub.key, 1, 100, time.Minute, body(ending)); err != nil {
			return err
		}
		mb, err := resident(hub.PID())
		if err != nil {
			return err
		}
		cold, memory = append(cold, ms(hub.Cold)), append(memory, mb)
	}
	l.row(fmt.Sprintf("with %d ended tasks: start to ready, ms", made.tasks), "%.0f", median(cold), "<= 1000")
	l.row("  resident memory, MB", "%.0f", median(memory), "<= 80")
	l.row("  just after making them with 64 clients, MB", "%.0f", loaded, "")
	return nil
}

var vmRSS = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// resident returns a process's resident memory in MB.
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	found := vmRSS.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("no VmRSS of process %d", pid)
	}
	kb, err := strconv.ParseFloat(string(found[1]), 64)
	return kb / 1000, err
}
