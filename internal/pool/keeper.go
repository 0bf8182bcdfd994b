package pool

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/turn"
)

// waiting is what the keeper reads: sandboxes that somebody asked for, and those that are to be deleted.
type waiting interface {
	SandboxesToCreate(ctx context.Context, worker string, lease time.Duration, limit int, l job.Limits) ([]job.Sandbox, error)
	SandboxesToDelete(ctx context.Context, limit int) ([]job.Sandbox, error)
	HoldTurn(ctx context.Context, turn, holder string, d time.Duration) (bool, error)
	RestWarm(ctx context.Context) (begun time.Duration, err error)
}

// KeeperOptions are the keeper's habits.
type KeeperOptions struct {
	Worker string          // whose name stands on the lease of a creation
	Limits job.Limits      // of sandboxes
	Every  time.Duration   // 0 means 1 s; news of a sandbox wakes it at once
	News   <-chan job.News // may be nil
	Log    *slog.Logger    // nil means slog.Default()
}

// Keeper creates the sandboxes that were asked for without a job and deletes those that are not to be used again.
type Keeper struct {
	pool *Pool
	rows waiting
	o    KeeperOptions
}

// NewKeeper returns a keeper; it does nothing before Run.
func NewKeeper(p *Pool, r waiting, o KeeperOptions) *Keeper {
	o.Every = cmp.Or(o.Every, time.Second)
	o.Log = cmp.Or(o.Log, slog.Default())
	return &Keeper{pool: p, rows: r, o: o}
}

// Run turns until ctx ends. A turn that fails is logged here, and not again while those after it fail too.
func (k *Keeper) Run(ctx context.Context) error {
	return rounds{"keeper", k.o.Every, k.o.News, k.wakes, k.o.Log}.run(ctx, k.Turn)
}

func (k *Keeper) wakes(n job.News) bool { return n.Sandbox != "" || n == (job.News{}) }

// creationLease is how long one worker has a creation to itself: the platform answers within a minute or not at all.
const creationLease = 90 * time.Second

// Turn makes what is asked for and deletes what is done with. A failed one is told in its row or tried again at
// the next turn, and holds up no other.
func (k *Keeper) Turn(ctx context.Context) error {
	wanted, err := k.rows.SandboxesToCreate(ctx, k.o.Worker, creationLease, 8, k.o.Limits)
	if err != nil {
		return err
	}
	old, err := k.old(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group // not with a shared context: one that fails must not end the others
	for _, sb := range wanted {
		group.Go(func() error { return k.create(ctx, sb) })
	}
	for _, sb := range old {
		group.Go(func() error { return k.pool.Delete(ctx, sb) })
	}
	return group.Wait()
}

// old are the sandboxes to delete, for the one worker of the fleet whose turn it is.
func (k *Keeper) old(ctx context.Context) ([]job.Sandbox, error) {
	old, err := k.rows.SandboxesToDelete(ctx, 8)
	if err != nil || len(old) == 0 {
		return nil, err
	}
	mine, err := k.rows.HoldTurn(ctx, "keeper", k.o.Worker, turn.Lease)
	if err != nil || !mine {
		return nil, err
	}
	return old, nil
}

func (k *Keeper) create(ctx context.Context, sb job.Sandbox) error {
	_, err := k.pool.Open(ctx, sb)
	switch warm := sb.UserID == ""; {
	case err == nil || ctx.Err() != nil:
		return err
	case warm && (errors.Is(err, daytona.ErrQuota) || !daytona.Temporary(err)):
		return k.without(ctx, sb, err)
	case daytona.Temporary(err):
		return err // asked again when its lease is over
	}
	return errors.Join(err, k.pool.rows.SandboxGone(ctx, sb.ID, err.Error()))
}

// without does without a warm sandbox that the platform refuses: nobody waits for it, so it is no fault. The place that it would
// have had may be wanted for others.
func (k *Keeper) without(ctx context.Context, sb job.Sandbox, why error) error {
	if err := k.pool.rows.SandboxGone(ctx, sb.ID, why.Error()); err != nil {
		return errors.Join(why, err)
	}
	rest, err := k.rows.RestWarm(ctx)
	if rest > 0 {
		k.o.Log.WarnContext(ctx, "a warm sandbox could not be made, and none is added for a while", "rest", rest, "err", why)
	}
	return err
}
