package engine

import (
	"slices"
	"strings"
	"time"

	"tandem/core"
)

// waits tells whether the task is in a queue.
func (r *run) waits() bool {
	return r.task.State == core.StateQueued || r.task.State == core.StateOffered
}

// enqueue puts the task into its service's queue, and has its counterpart made
// where the target is another platform.
func (r *run) enqueue() {
	r.task.State, r.task.Queued = core.StateQueued, r.now
	r.emit(core.Queued, nil)
	target := r.task.Service.Target
	switch {
	case target != "" && r.task.Remote.State == "":
		r.task.Remote.Platform, r.task.Remote.State = target, core.RemoteRequested
		r.remotely(RemoteCreate, 0)
	case target != "" && r.task.Remote.State == core.RemoteFailed: // a workflow that comes back here must not ask without end
		r.remotely(RemoteCreate, refusedPause)
	}
}

// refusedPause is how long a target that has refused a task is left alone.
const refusedPause = 30 * time.Second

func (r *run) show(p core.Pop) {
	p.At = r.now
	pops := slices.DeleteFunc(slices.Clone(r.task.Pops), func(old core.Pop) bool {
		return old.URL == p.URL && old.Agent == p.Agent
	})
	r.task.Pops = append(pops[max(0, len(pops)+1-maxPops):], p)
}

// rank orders tasks in a queue: the workflow's priority first, then the contact
// priority, then who waits longest.
func (r *run) rank() int64 {
	const perStep = 1 << 44 // milliseconds: more than five centuries
	steps := int64(slices.Index(core.Priorities, r.task.Priority))*16 + 10
	if p := r.task.ContactPriority; p >= 1 && p <= 9 {
		steps += int64(p) - 10
	}
	return max(steps, 0)*perStep + r.task.Queued.UnixMilli()
}

// place brings the row's queue and agent up to the task.
func (r *run) place() {
	r.row.Queue, r.row.Rank, r.row.Agent = "", 0, ""
	switch {
	case r.waits():
		r.row.Queue, r.row.Rank = strings.ToLower(r.task.Service.UPN), r.rank()
	case r.task.State == core.StateConnected:
		if r.row.Agent = strings.ToLower(r.task.LastConnectedUser.UPN); r.row.Agent == "" {
			r.row.Agent = strings.ToLower(r.task.LastConnectedUser.ID)
		}
	}
}
