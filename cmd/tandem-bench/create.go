package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem/cmd/internal/sandbox"
)

// burst is what a number of clients did in a time.
type burst struct {
	tasks   int64 // acknowledged
	elapsed time.Duration
}

func (b burst) rate() float64 { return float64(b.tasks) / b.elapsed.Seconds() }

// drive lets clients call something, each on its own connection, one call after
// the other, until the time is over or call says that nothing is left.
func drive(ctx context.Context, addr, key string, clients int, limit time.Duration, call func(c *sandbox.Conn, client int) (bool, error)) (burst, error) {
	var all sync.WaitGroup
	errs, done := make([]error, clients), make([]int64, clients)
	conns := make([]*sandbox.Conn, clients)
	for i := range conns {
		c, err := sandbox.Dial(ctx, addr, key)
		if err != nil {
			return burst{}, err
		}
		defer c.Close()
		conns[i] = c
	}
	began := time.Now()
	for i, c := range conns {
		all.Go(func() {
			for ctx.Err() == nil && time.Since(began) < limit {
				more, err := call(c, i)
				if errs[i] = err; !more || err != nil {
					return
				}
				done[i]++
			}
		})
	}
	all.Wait()
	b := burst{elapsed: time.Since(began)}
	for _, n := range done {
		b.tasks += n
	}
	return b, errors.Join(errors.Join(errs...), ctx.Err())
}

// load lets clients add tasks until the time is over or most of them are made.
func load(ctx context.Context, addr, key string, clients int, most int64, limit time.Duration, body []byte) (burst, error) {
	var begun atomic.Int64
	return drive(ctx, addr, key, clients, limit, func(c *sandbox.Conn, _ int) (bool, error) {
		if begun.Add(1) > most {
			return false, nil
		}
		return true, add(c, body)
	})
}

// add adds one task.
func add(c *sandbox.Conn, body []byte) error {
	status, answer, err := c.Do("POST", addPath, body)
	if err == nil && status != 200 {
		err = fmt.Errorf("%d %s", status, answer)
	}
	if err != nil {
		return fmt.Errorf("add a task: %w", err)
	}
	return nil
}

// create measures durable tasks per second at the hub and at the bare handler.
func (l *lab) create(ctx context.Context) error {
	rounds, length := 3, 5*time.Second
	if l.quick {
		rounds, length = 3, 1500*time.Millisecond
	}
	for _, clients := range []int{1, 64} {
		if err := l.compare(ctx, clients, rounds, length); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) compare(ctx context.Context, clients, rounds int, length time.Duration) error {
	hub, err := l.start(ctx, "", nil)
	if err != nil {
		return err
	}
	defer hub.close()
	bare, err := l.startPlain(ctx)
	if err != nil {
		return err
	}
	defer bare.close()
	if err := hub.subscribe(ctx, 1, queued, `"Created"`); err != nil {
		return err
	}
	var acked int64
	var hubs, bares, ratios, drains, hubCPU, bareCPU []float64
	for round := range rounds + 1 { // the first one warms up
		limit := length
		if round == 0 {
			limit = time.Second
		}
		hubBefore, bareBefore := used(hub.PID()), used(bare.cmd.Process.Pid)
		began := time.Now()
		a, err := load(ctx, hub.addr(), hub.key, clients, math.MaxInt64, limit, body(queued))
		if err != nil {
			return err
		}
		acked += a.tasks
		if err := hub.drained(ctx, acked, 10*limit); err != nil {
			return err
		}
		drained := time.Since(began)
		b, err := load(ctx, bare.addr, "", clients, math.MaxInt64, limit, body(queued))
		if err != nil {
			return err
		}
		if round == 0 {
			continue
		}
		hubCPU = append(hubCPU, perTask(used(hub.PID())-hubBefore, a))
		bareCPU = append(bareCPU, perTask(used(bare.cmd.Process.Pid)-bareBefore, b))
		hubs, bares = append(hubs, a.rate()), append(bares, b.rate())
		ratios = append(ratios, a.rate()/b.rate())
		drains = append(drains, drained.Seconds()/a.elapsed.Seconds())
		fmt.Fprintf(l.out, "  clients: %2d, round %d: hub %.0f/s, bare handler %.0f/s, ratio %.2f; all callbacks after %.2f times the burst\n",
			clients, round, a.rate(), b.rate(), a.rate()/b.rate(), drained.Seconds()/a.elapsed.Seconds())
	}
	l.row(fmt.Sprintf("tasks on disk per second, clients: %d", clients), "%.0f", median(hubs), "")
	l.row(fmt.Sprintf("  bare handler, clients: %d", clients), "%.0f", median(bares), "")
	l.row("  ratio", "%.2f", median(ratios), ">= 0.30")
	l.row("  processor time a task, with its callback, µs", "%.0f", median(hubCPU), "")
	l.row("  processor time a task, bare handler, µs", "%.0f", median(bareCPU), "")
	l.row("  all callbacks received, times the burst", "%.2f", median(drains), "<= 2")
	return nil
}

// perTask is in microseconds.
func perTask(used time.Duration, b burst) float64 {
	return float64(used.Microseconds()) / float64(b.tasks)
}

// used is the processor time of a process so far.
func used(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the command's name
	fields := strings.Fields(rest)
	var ticks int64
	for _, i := range []int{11, 12} { // utime and stime, in hundredths of a second
		if i < len(fields) {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// row prints one figure with its goal.
func (l *lab) row(what, format string, value float64, goal string) {
	fmt.Fprintf(l.out, "%-48s %10s   %s\n", what, fmt.Sprintf(format, value), goal)
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile returns the value below which the part q of the values lies.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
