package snapshots

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sandpiper/internal/daytona"
)

// Builder has snapshots built. Platform and Prefix must be set.
type Builder struct {
	Platform *daytona.Client
	Prefix   string
	Known    Cached           // what the cache file says, if it is about this platform
	Now      func() time.Time // nil means time.Now
	Poll     time.Duration    // how often to ask how a build goes; 0 means 1 s

	Log  io.Writer              // gets what the platform's builder says; nil means nobody
	Told func(daytona.Snapshot) // hears of each new state; nil means nobody
}

// Built is what came of a recipe. Its name is set as soon as something may be on the platform.
type Built struct {
	daytona.Snapshot
	New bool // it was begun here: nothing of the same content was there
}

// Same finds the newest snapshot that has the content of r, one that is being built included; nil means that there is none.
func (b Builder) Same(ctx context.Context, r Recipe) (*daytona.Snapshot, error) {
	all, err := b.Platform.Snapshots(ctx, b.Prefix+infix)
	if err != nil {
		return nil, err
	}
	ours := slices.DeleteFunc(all, func(s daytona.Snapshot) bool {
		_, ok := At(b.Prefix, s.Name)
		return !ok || s.General || s.Failed() || s.State == daytona.SnapshotRemoving
	})
	slices.SortFunc(ours, func(x, y daytona.Snapshot) int { return cmp.Compare(y.Name, x.Name) })
	want := r.Hash()
	for _, s := range ours {
		known := b.Known.ID == s.ID && b.Known.DockerHash == want
		if !known && s.Build.Dockerfile == "" { // a list need not have it
			if s, err = b.Platform.Snapshot(ctx, s.ID); err != nil {
				return nil, fmt.Errorf("look at snapshot %s: %w", s.Name, err)
			}
		}
		if known || hashIn(s.Build.Dockerfile) == want {
			return &s, nil
		}
	}
	return nil, nil
}

// Build gives the snapshot of a recipe: the one that has the same content, where there is one and force does not ask for
// another, else a new one, when it is built. The error of a failed build gives the platform's reason. When ctx ends first,
// the build goes on, and the next Build follows it.
func (b Builder) Build(ctx context.Context, r Recipe, force bool) (Built, error) {
	if !force {
		same, err := b.Same(ctx, r)
		if err != nil {
			return Built{}, err
		}
		if same != nil {
			s, err := b.follow(ctx, *same)
			return Built{Snapshot: s}, err
		}
	}
	now := time.Now
	if b.Now != nil {
		now = b.Now
	}
	name := Name(b.Prefix, now())
	s, err := b.Platform.BuildSnapshot(ctx, daytona.Build{
		Name: name, Dockerfile: r.text(), CPU: r.CPU, MemoryGiB: r.MemoryGiB, DiskGiB: r.DiskGiB,
	})
	if err == nil {
		s, err = b.follow(ctx, s)
	}
	s.Name = cmp.Or(s.Name, name)
	return Built{s, true}, err
}

// follow waits until a build has ended.
func (b Builder) follow(ctx context.Context, s daytona.Snapshot) (daytona.Snapshot, error) {
	if ended(s) {
		return s, verdict(s)
	}
	tick := time.NewTicker(cmp.Or(b.Poll, time.Second))
	defer tick.Stop()
	l := follower{builder: b, id: s.ID}
	defer l.end(ctx)
	for told := ""; ; {
		if s.State != told {
			told = s.State
			b.tell(s)
		}
		if s.State != daytona.SnapshotPending { // before, platforms have no log to give
			l.begin(ctx)
		}
		if ended(s) {
			return s, verdict(s)
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-tick.C:
		}
		next, err := b.Platform.Snapshot(ctx, s.ID)
		switch {
		case ctx.Err() != nil:
			return s, ctx.Err()
		case errors.Is(err, daytona.ErrNotFound):
			return s, fmt.Errorf("snapshot %s was deleted while it was built", s.Name)
		case err != nil && !daytona.Temporary(err):
			return s, fmt.Errorf("ask how snapshot %s is: %w", s.Name, err)
		case err == nil:
			s = next
		}
	}
}

func (b Builder) tell(s daytona.Snapshot) {
	if b.Told != nil {
		b.Told(s)
	}
}

// ended reports whether nothing more will come of a build.
func ended(s daytona.Snapshot) bool {
	switch s.State {
	case daytona.SnapshotActive, daytona.SnapshotInactive, daytona.SnapshotRemoving:
		return true
	}
	return s.Failed()
}

func verdict(s daytona.Snapshot) error {
	switch {
	case s.Failed():
		return fmt.Errorf("%w: %s: %s", daytona.ErrFailed, s.State, cmp.Or(s.ErrorReason, "the platform gives no reason"))
	case s.State == daytona.SnapshotRemoving:
		return fmt.Errorf("snapshot %s is being deleted", s.Name)
	}
	return nil
}

// lastWords is how long the log of a build that has ended is still read.
const lastWords = 10 * time.Second

// follower reads the log of one build beside the question how it goes.
type follower struct {
	builder Builder
	id      string
	over    chan struct{} // closed when the build has ended
	done    chan struct{} // closed when the log is read
	stop    context.CancelFunc
}

// begin begins to read, once.
func (l *follower) begin(ctx context.Context) {
	if l.over != nil || l.builder.Log == nil {
		return
	}
	ctx, l.stop = context.WithCancel(ctx)
	l.over, l.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(l.done)
		l.read(ctx)
	}()
}

// read goes on where a connection broke off, until the build is over, and then once more: what was said last may be missing.
func (l *follower) read(ctx context.Context) {
	at, over := int64(0), false
	for !over {
		select {
		case <-l.over:
			over = true
		default:
		}
		next, err := l.builder.Platform.BuildLog(ctx, l.id, at, l.builder.Log)
		if at = next; errors.Is(err, daytona.ErrNotFound) {
			return // there is none: the states say how it goes
		}
		select {
		case <-l.over:
		case <-ctx.Done():
			return
		case <-time.After(cmp.Or(l.builder.Poll, time.Second)):
		}
	}
}

// end waits until what was said is read.
func (l *follower) end(ctx context.Context) {
	if l.over == nil {
		return
	}
	close(l.over)
	defer l.stop()
	select {
	case <-l.done:
		return
	case <-ctx.Done():
	case <-time.After(lastWords):
	}
	l.stop()
	<-l.done
}
