package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/turn"
)

// known is what a warden needs of package store.
type known interface {
	// LiveSandboxes lists the sandboxes that are not gone, oldest first, those after a place that an earlier call returned.
	LiveSandboxes(ctx context.Context, after int64, limit int) (page []job.Sandbox, next int64, err error)
	SandboxGone(ctx context.Context, id, reason string) error
	HadSandbox(ctx context.Context, id string) (bool, error)
	turn.Rows
}

// WardenOptions are what a warden may be told. Zero values are good defaults.
type WardenOptions struct {
	Holder string           // who turns, for the turn that the whole fleet takes once; "" means a new word
	Every  time.Duration    // 0 means 5 minutes; far less than the platform waits before it stops an idle sandbox
	Now    func() time.Time // nil means time.Now
	Log    *slog.Logger     // nil means slog.Default()
}

// Warden compares the platform with the rows: what only one of them has is told to the other. Keeper does what somebody
// asked for; the warden looks after what nobody asked for.
type Warden struct {
	pool    *Pool
	rows    known
	o       WardenOptions
	turn    turn.Turn
	unknown map[string]bool // platform ids that no living row knew at the last look, while the turn is ours
}

// NewWarden returns a warden; it does nothing before Run.
func NewWarden(p *Pool, r known, o WardenOptions) *Warden {
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Every = cmp.Or(o.Every, 5*time.Minute)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Warden{pool: p, rows: r, o: o}
	w.turn = turn.Turn{
		Rows: r, Name: "warden", Holder: o.Holder, Every: o.Every, Log: o.Log,
		Lost: func() { w.unknown = nil },
	}
	return w
}

// Run looks every so often, for the whole fleet, until ctx ends.
func (w *Warden) Run(ctx context.Context) error { return w.turn.Run(ctx, w.look) }

// Turn looks once, for the one process of the fleet whose turn it is.
func (w *Warden) Turn(ctx context.Context) error { return w.turn.Once(ctx, w.look) }

// look compares. The rows are read before the platform: a sandbox has its row first.
func (w *Warden) look(ctx context.Context) error {
	rows, err := w.live(ctx)
	if err != nil {
		return err
	}
	there, err := w.pool.platform.List(ctx, map[string]string{installationLabel: w.pool.o.Installation})
	if err != nil {
		return fmt.Errorf("compare the platform with the rows: %w", err)
	}
	byID := make(map[string]bool, len(there))
	for _, found := range there {
		byID[found.ID] = true
	}
	return errors.Join(w.remove(ctx, rows, there), w.tell(ctx, rows, byID), w.touch(ctx, rows))
}

// live are the rows of all sandboxes that are not gone.
func (w *Warden) live(ctx context.Context) (map[string]job.Sandbox, error) {
	all := map[string]job.Sandbox{}
	for after := int64(0); ; {
		page, next, err := w.rows.LiveSandboxes(ctx, after, 500)
		if err != nil {
			return nil, err
		}
		for _, sb := range page {
			all[sb.ID] = sb
		}
		if len(page) == 0 {
			return all, nil
		}
		after = next
	}
}

// grown is how old a sandbox that no row knows must be before it is removed.
const grown = 10 * time.Minute

// remove deletes what is ours on the platform while its row says that it is gone: left of a creation whose worker gave up, and
// that took effect later. It must have been so at two looks, be old enough, and still be ours when it is asked for by its id: a
// list may lag behind.
//
// What has no row at all is left alone: rows come first and are kept, so another database made it, one that has the same
// installation's id because it is a copy of this one, or this one of it.
func (w *Warden) remove(ctx context.Context, rows map[string]job.Sandbox, there []daytona.Sandbox) (err error) {
	before := w.unknown
	w.unknown = map[string]bool{}
	for _, found := range there {
		if _, has := rows[found.Labels[sandboxLabel]]; has || w.pool.ours(found) != nil {
			continue
		}
		w.unknown[found.ID] = true
		if before[found.ID] {
			err = errors.Join(err, w.removeOne(ctx, found))
		}
	}
	return err
}

func (w *Warden) removeOne(ctx context.Context, listed daytona.Sandbox) error {
	id := listed.ID
	had, err := w.rows.HadSandbox(ctx, listed.Labels[sandboxLabel])
	if err != nil {
		return err
	}
	if !had {
		w.o.Log.WarnContext(ctx, "a sandbox of another database with this installation's id is left alone: give one of them an id of its own",
			"platformId", id, "name", listed.Name, "createdAt", listed.CreatedAt)
		return nil
	}
	found, err := w.pool.platform.Get(ctx, id)
	switch {
	case errors.Is(err, daytona.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("look at sandbox %s, whose row says that it is gone: %w", id, err)
	case w.pool.ours(found) != nil, w.o.Now().Sub(found.CreatedAt) < grown, leaving(found):
		return nil
	}
	if err := w.pool.platform.Delete(ctx, id); err != nil {
		return fmt.Errorf("delete sandbox %s, whose row says that it is gone: %w", id, err)
	}
	w.o.Log.WarnContext(ctx, "a sandbox whose row says that it is gone was deleted", "platformId", id, "name", found.Name, "createdAt", found.CreatedAt)
	return nil
}

func leaving(found daytona.Sandbox) bool {
	return found.State == daytona.StateDestroying || found.State == daytona.StateDestroyed
}

// goneReason stands in the row of a sandbox that the platform lost, or somebody deleted there.
const goneReason = "the platform does not have it any more"

// tell keeps in its row that a sandbox is gone from the platform. Queued jobs that named it end by that, others take
// another one; the attempt of a running one finds out by itself.
func (w *Warden) tell(ctx context.Context, rows map[string]job.Sandbox, there map[string]bool) (err error) {
	for _, sb := range rows {
		if sb.State != job.SandboxReady || sb.PlatformID == "" || there[sb.PlatformID] {
			continue
		}
		found, asked := w.pool.platform.Get(ctx, sb.PlatformID)
		switch {
		case errors.Is(asked, daytona.ErrNotFound), asked == nil && leaving(found):
			w.pool.Forget(sb.ID)
			w.o.Log.WarnContext(ctx, "a sandbox is gone from the platform", "sandboxId", sb.ID, "userId", sb.UserID, "jobId", sb.BusyJob)
			err = errors.Join(err, w.rows.SandboxGone(ctx, sb.ID, goneReason))
		case asked != nil:
			err = errors.Join(err, fmt.Errorf("look for sandbox %s: %w", sb.ID, asked))
		}
	}
	return err
}

// touch counts as activity in every sandbox that a job holds: a prompt that thinks for hours with nobody connected would
// be stopped as idle.
func (w *Warden) touch(ctx context.Context, rows map[string]job.Sandbox) (err error) {
	for _, sb := range rows {
		if sb.BusyJob == "" || sb.PlatformID == "" || sb.State != job.SandboxReady {
			continue
		}
		if failed := w.pool.platform.Touch(ctx, sb.PlatformID); failed != nil && !errors.Is(failed, daytona.ErrNotFound) {
			err = errors.Join(err, fmt.Errorf("keep sandbox %s awake: %w", sb.ID, failed))
		}
	}
	return err
}
