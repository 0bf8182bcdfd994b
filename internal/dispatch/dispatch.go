package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// jobs is what a Dispatcher needs of package store.
type jobs interface {
	Submit(ctx context.Context, c auth.Caller, j job.Job, k store.Key) (job.Job, bool, error)
	Job(ctx context.Context, c auth.Caller, id string) (job.Job, error)
	Cancel(ctx context.Context, c auth.Caller, id string) (job.Job, error)
}

// pusher pushes hints. Push must end soon whatever Redis does.
type pusher interface {
	Push(ctx context.Context, h job.Hint) error
}

// shallows is what a Dispatcher needs of package queue.
type shallows interface {
	pusher
	// Shallow reports whether few hints of p wait. It must end soon too.
	Shallow(ctx context.Context, p job.Priority) bool
}

// Options are what a dispatcher may be told.
type Options struct {
	Now func() time.Time // for the ids of jobs; nil means time.Now
	Log *slog.Logger     // hints that were lost, at debug level; nil means slog.Default()
}

// Dispatcher takes what callers ask for.
type Dispatcher struct {
	jobs  jobs
	queue shallows
	now   func() time.Time
	log   *slog.Logger
	lost  atomic.Int64
}

// New makes a dispatcher.
func New(s jobs, q shallows, o Options) *Dispatcher {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Dispatcher{jobs: s, queue: q, now: o.Now, log: cmp.Or(o.Log, slog.Default())}
}

// Submit makes a job of spec for c and commits it. It reports whether the same was submitted before with the same key:
// then the first job is returned and nothing is sent. Faults of spec come as joined job.FieldErrors and nothing is
// stored; further errors are job.ErrKeyReused and job.ErrSandboxNotFound.
//
// A Redis that is away makes Submit at most as late as its pusher's patience, and never fails it.
func (d *Dispatcher) Submit(ctx context.Context, c auth.Caller, spec job.Spec, k store.Key) (job.Job, bool, error) {
	spec = spec.WithDefaults()
	if err := valid(c, spec); err != nil {
		return job.Job{}, false, err
	}
	j, replayed, err := d.submit(ctx, c, job.Job{Tenant: c.Tenant, UserID: c.UserID, Spec: spec}, k)
	if err != nil {
		return job.Job{}, false, fmt.Errorf("submit a job: %w", err)
	}
	return j, replayed, nil
}

// submit commits j under an id of its own, unless the same was submitted before. It sends its hint at once only where few
// wait and it is the user's turn in any case; others get theirs from the sweeper, in their turn.
func (d *Dispatcher) submit(ctx context.Context, c auth.Caller, j job.Job, k store.Key) (job.Job, bool, error) {
	j.ID, j.State = job.NewID(d.now()), job.Queued
	j.Hinted = d.queue.Shallow(context.WithoutCancel(ctx), j.Spec.Priority)
	j, replayed, err := d.jobs.Submit(ctx, c, j, k)
	if err != nil {
		return job.Job{}, false, err
	}
	if !replayed && j.Hinted {
		d.hint(ctx, j)
	}
	return j, replayed, nil
}

// hint goes out also when the caller has gone away meanwhile: the job is committed. Its number is 1, which the
// store counts as given out.
func (d *Dispatcher) hint(ctx context.Context, j job.Job) {
	h := job.Hint{JobID: j.ID, DispatchSeq: 1, Priority: j.Spec.Priority}
	if err := d.queue.Push(context.WithoutCancel(ctx), h); err != nil {
		d.lost.Add(1)
		d.log.DebugContext(ctx, "hint lost", "jobId", j.ID, "err", err)
	}
}

// Lost counts hints that did not reach Redis. Their jobs wait for the sweeper.
func (d *Dispatcher) Lost() int64 { return d.lost.Load() }

// Cancel ends a queued job at once and asks for the end of a running one; asking twice is fine. Errors are
// job.ErrNotFound and job.ErrFinished.
func (d *Dispatcher) Cancel(ctx context.Context, c auth.Caller, id string) (job.Job, error) {
	j, err := d.jobs.Cancel(ctx, c, id)
	if err != nil {
		return job.Job{}, fmt.Errorf("cancel %s: %w", id, err)
	}
	return j, nil
}
