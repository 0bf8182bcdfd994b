package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/run"
	"sandpiper/internal/store"
	"sandpiper/internal/telemetry"
)

// rows is what a worker asks of the store. Every write is fenced on the attempt.
type rows interface {
	Claim(ctx context.Context, q store.Claim) (store.Claimed, error)
	Beat(ctx context.Context, worker string, held []job.Attempt, lease time.Duration) (store.Beat, error)
	HandOver(ctx context.Context, worker string) (int, error)
	Append(ctx context.Context, a job.Attempt, b store.Batch) (int64, error)
	Intend(ctx context.Context, a job.Attempt, r job.Run, events ...job.Event) error
	Left(ctx context.Context, runID string) (time.Duration, error)
	MarkLaunched(ctx context.Context, a job.Attempt, runID string) error
	Requeue(ctx context.Context, a job.Attempt, afterSeq int64, q store.Requeue) error
	GiveWay(ctx context.Context) (leaving bool, reaped int, err error)
	Finish(ctx context.Context, a job.Attempt, o job.Outcome, afterSeq int64) error
	LaneTrouble(ctx context.Context, a job.Attempt, id job.LaneID, tr job.Trouble) (job.Lane, error)
	LaneAnswered(ctx context.Context, a job.Attempt, id job.LaneID) error
}

// sandboxes is what a worker asks of the pool.
type sandboxes interface {
	Fresh() job.Sandbox
	Open(ctx context.Context, sb job.Sandbox) (*pool.Box, error)
	Forget(id string)
	Halt(ctx context.Context, sb job.Sandbox) error
}

// The causes that end an attempt's context.
var (
	errDrain     = errors.New("this worker is going away")
	errCancelled = errors.New("somebody asked to cancel the job")
	errDeadline  = errors.New("the job's time is over")
	errPoisoned  = errors.New("too many have died under the job")
)

// Options are a worker's habits. Zero values are good.
type Options struct {
	Name     string        // who we are on leases; "" makes one
	Slots    int           // jobs at once; 0 means 32
	Limits   job.Limits    // of sandboxes, in the whole fleet
	PerUser  int           // jobs of one user at once, in the whole fleet; 0 means any number
	Lease    time.Duration // how long a claim holds without a beat; 0 means 5 s
	Beat     time.Duration // 0 means 1 s
	Grace    time.Duration // between TERM and KILL; 0 means 3 s
	Farewell time.Duration // how long an attempt may take to end what it is ending when we drain; 0 means 500 ms
	Poll     time.Duration // one long poll of a run's output; 0 means 20 s
	Gather   time.Duration // how long output is gathered before it is shown; 0 means run.DefaultGather
	Backoff  time.Duration // at most so long before the second try, doubled each time; 0 means 2 s

	// Key is the fingerprint of the key of the model API that our sandboxes have. With it jobs keep to the lanes of package
	// job; "" knows no lanes, and a refusal by the API costs a try.
	Key     string
	BaseURL string        // the Messages API, as a sandbox reaches it; "" is the CLI's own
	Offline bool          // the offline model answers: runs cost nothing
	Noop    bool          // no sandbox and no command, for load tests: see noop
	Policy  claude.Policy // which tools a run has
	Secrets []string      // masked in everything that comes out of a sandbox

	KeepRuns time.Duration // how long the files of a run stay in its sandbox, a day at least; 0 is as long as the sandbox

	Retries    int           // how often the command asks the API again by itself; 0 is never
	APITimeout time.Duration // how long the command waits for an API that never answers; 0 means 5 minutes

	News    <-chan job.News // a cancellation is heard at once; may be nil: the next beat hears it
	Metrics *telemetry.Metrics
	Log     *slog.Logger

	jitter func(time.Duration) time.Duration // somewhere between 0 and a bound
	luck   func() float64                    // from 0 to 1: the jitter of a lane's pause
}

func (o Options) withDefaults() Options {
	o.Name = cmp.Or(o.Name, "worker_"+job.NewToken())
	o.Slots = cmp.Or(o.Slots, 32)
	o.Lease = cmp.Or(o.Lease, 5*time.Second)
	o.Beat = cmp.Or(o.Beat, time.Second)
	o.Grace = cmp.Or(o.Grace, 3*time.Second)
	o.Farewell = cmp.Or(o.Farewell, 500*time.Millisecond)
	o.Poll = cmp.Or(o.Poll, 20*time.Second)
	o.Gather = cmp.Or(o.Gather, run.DefaultGather)
	o.Backoff = cmp.Or(o.Backoff, 2*time.Second)
	o.Metrics = cmp.Or(o.Metrics, telemetry.NewMetrics())
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.jitter == nil {
		o.jitter = func(bound time.Duration) time.Duration { return rand.N(bound + 1) }
	}
	if o.luck == nil {
		o.luck = rand.Float64
	}
	return o
}

// Worker runs jobs, as many at once as it has slots, and for a while more that others have left.
type Worker struct {
	rows   rows
	boxes  sandboxes
	o      Options
	api    claude.Endpoint
	mask   mask
	checks *checks
	held   *held
	fault  telemetry.Spell // of the beats; Run's

	places *places // one for each attempt that is at work
	offers chan offer
}

type offer struct {
	job.Hint
	takeOver bool
}

// New returns a worker. Run must run for it to hold what it claims. A base URL that is none is an error.
func New(r rows, s sandboxes, o Options) (*Worker, error) {
	o = o.withDefaults()
	api, err := claude.ParseEndpoint(o.BaseURL)
	if err != nil {
		return nil, err
	}
	known := newMask(o.Secrets)
	o.Log = known.logger(o.Log)
	return &Worker{
		rows: r, boxes: s, o: o, api: api,
		mask:   known,
		checks: newChecks(),
		held:   newHeld(),
		places: newPlaces(o.Slots),
		offers: make(chan offer, 2*o.Slots),
	}, nil
}

// Handle works on a hint: it waits for a slot, claims, and returns when the attempt is over. ctx ends when the
// worker drains. Duplicates, and hints of jobs that are not due, end at the claim.
func (w *Worker) Handle(ctx context.Context, h job.Hint) {
	if w.places.wait(ctx, h.Priority) {
		w.work(ctx, offer{Hint: h})
	}
}

// Offer hands over a job that nobody pushed: one that is due while Redis is away, or one whose lease lapsed. It
// returns at once; false means that there is no free place. One that is offered again before it was claimed takes no
// second one.
func (w *Worker) Offer(h job.Hint, takeOver bool) bool {
	if !w.held.offer(h.JobID) {
		return true
	}
	if takeOver {
		h.Priority = "" // what it is, its claim tells
	}
	if takeOver && !w.places.takeOver() || !takeOver && !w.places.take(h.Priority) {
		w.held.decided(h.JobID)
		return false
	}
	w.offers <- offer{h, takeOver} // never blocks: it holds as many as there are places
	return true
}

// Run holds the leases of all attempts and starts those that were offered. When ctx ends it leaves the runs as
// they are, gives all jobs back for other workers, and returns when no attempt is at work any more.
func (w *Worker) Run(ctx context.Context) error {
	tick := time.NewTicker(w.o.Beat)
	defer tick.Stop()
	for {
		select {
		case o := <-w.offers:
			go w.work(ctx, o) // it owns a place, and drain waits for the places
		case <-tick.C:
			w.turn(ctx)
		case n := <-w.o.News:
			if n.Cancel && w.held.has(n.JobID) {
				w.turn(ctx)
			}
		case <-ctx.Done():
			return w.drain(tick)
		}
	}
}

// turn beats, and logs when beats begin to fail; the next one comes soon.
func (w *Worker) turn(ctx context.Context) {
	err := w.Turn(ctx)
	if ctx.Err() != nil {
		return
	}
	switch w.fault.Note(err) {
	case telemetry.Broken:
		w.o.Log.ErrorContext(ctx, "beat failed", "err", err)
	case telemetry.Mended:
		w.o.Log.InfoContext(ctx, "beats work again")
	}
}

// Turn extends the leases of all attempts in one statement, and tells those that lost theirs or were cancelled.
func (w *Worker) Turn(ctx context.Context) error {
	attempts := w.held.attempts()
	if len(attempts) == 0 {
		return nil
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, w.o.Lease)
	defer cancel()
	beat, err := w.rows.Beat(ctx, w.o.Name, attempts, w.o.Lease)
	if err != nil {
		return err
	}
	w.held.beaten(attempts, began)
	for _, id := range beat.Cancel {
		w.held.stop(id, errCancelled)
	}
	for _, id := range beat.Lost {
		w.held.stop(id, job.ErrLost)
	}
	return nil
}

// work claims one job and sees it to its end. It owns a place and gives it back.
func (w *Worker) work(drain context.Context, o offer) {
	defer func() { w.places.give(o.Priority) }()
	ctx, stop := context.WithCancelCause(context.WithoutCancel(drain))
	defer stop(nil)
	final, give := context.WithCancelCause(context.WithoutCancel(drain))
	defer give(nil)
	unhook := context.AfterFunc(drain, func() {
		stop(errDrain)
		time.AfterFunc(w.o.Farewell, func() { give(errDrain) })
	})
	defer unhook()

	began := time.Now()
	c, err := w.claim(ctx, o)
	w.held.decided(o.JobID)
	if err != nil {
		if !errors.Is(err, job.ErrNotClaimable) && !errors.Is(err, job.ErrNotFound) && ctx.Err() == nil {
			w.o.Log.ErrorContext(ctx, "claim failed", "jobId", o.JobID, "err", err)
		}
		return
	}
	if o.Priority == "" && c.Job.Spec.Priority == job.Bulk {
		o.Priority = job.Bulk
		w.places.isBulk()
	}
	w.o.Metrics.SandboxTaken(c.Taken)
	w.held.add(c.Attempt, stop, began)
	defer w.held.remove(c.Attempt)
	if c.Job.CancelRequested { // of an attempt before this one
		stop(errCancelled)
	}
	newAttempt(w, c).work(ctx, final)
}

// claim asks twice: with the same token a claim whose reply was lost gives the same answer again.
func (w *Worker) claim(ctx context.Context, o offer) (store.Claimed, error) {
	q := store.Claim{
		JobID: o.JobID, Worker: w.o.Name, Token: job.NewToken(), Lease: w.o.Lease, TakeOver: o.takeOver,
		Key: w.o.Key, PerUser: w.o.PerUser, Limits: w.o.Limits, Fresh: w.fresh(),
	}
	c, err := w.rows.Claim(ctx, q)
	if err != nil && !errors.Is(err, job.ErrNotClaimable) && !errors.Is(err, job.ErrNotFound) && ctx.Err() == nil {
		c, err = w.rows.Claim(ctx, q)
	}
	return c, err
}
