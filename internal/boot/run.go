package boot

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/auth"
	"sandpiper/snapshot"
)

// Run runs every role until ctx ends or one of them fails. Then no new work is taken, prompts that are running are
// left running, idle sandboxes are stopped, and so is the offline model when nobody is asking it.
func (h *House) Run(ctx context.Context) error {
	rest, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ground, below := errgroup.WithContext(rest)
	h.ground(ground, below)

	ctx, halt := context.WithCancel(ctx)
	defer halt()
	defer context.AfterFunc(below, halt)() // the ground gave way
	work, busy := errgroup.WithContext(ctx)
	h.work(work, busy)
	err := work.Wait()

	stop()
	return cmp.Or(err, ground.Wait())
}

// ground is what the work stands on: it ends after it.
func (h *House) ground(g *errgroup.Group, ctx context.Context) {
	g.Go(func() error { return h.bus.Run(ctx) })
	g.Go(func() error { return h.lookout.Run(ctx) })
	g.Go(func() error { return h.relay.Run(ctx) })
	if h.local != nil {
		g.Go(func() error { return h.local.Run(ctx, h.localAt) })
	}
}

// work is every background role of this process. None starts itself.
func (h *House) work(g *errgroup.Group, ctx context.Context) {
	g.Go(func() error { return h.api.Run(ctx, h.apiAt) })
	g.Go(func() error { return h.worker.Run(ctx) })
	g.Go(func() error { return h.queue.Consume(ctx, h.cfg.Concurrency, h.worker.Handle) })
	g.Go(func() error { return h.sweeper.Run(ctx) })
	g.Go(func() error { return h.keeper.Run(ctx) })
}

// Left says what goes on after a house was left.
type Left struct {
	Running int // prompts that keep running in their sandboxes
}

// Leave stops the sandboxes in which nothing runs and, when nothing runs at all, the offline model. Call it after
// Run and before Close.
func (h *House) Leave(ctx context.Context) (Left, error) {
	running, err := h.store.Running(ctx)
	if err != nil {
		return Left{}, fmt.Errorf("count running jobs: %w", err)
	}
	left := Left{Running: running}
	if h.local != nil {
		busy, err := h.busySandboxes(ctx)
		if err != nil {
			return left, err
		}
		if err := h.local.StopIdle(ctx, func(id string) bool { return busy[id] }); err != nil {
			return left, fmt.Errorf("stop idle sandboxes: %w", err)
		}
	}
	if h.model != nil && running == 0 {
		return left, h.model.stop()
	}
	return left, nil
}

// busySandboxes are the platform's ids of sandboxes that hold a job.
func (h *House) busySandboxes(ctx context.Context) (map[string]bool, error) {
	all, err := h.store.Sandboxes(ctx, auth.LocalOperator(), 100_000)
	if err != nil {
		return nil, fmt.Errorf("read sandboxes: %w", err)
	}
	busy := map[string]bool{}
	for _, sb := range all {
		if sb.BusyJob != "" {
			busy[sb.PlatformID] = true
		}
	}
	return busy, nil
}

// warnOfVersion says so when the claude binary that was given is not the pinned version: what its output means was
// measured on that one.
func (h *House) warnOfVersion(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, h.claude, "--version").Output()
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || version != snapshot.ClaudeVersion {
		h.log.WarnContext(ctx, "SANDPIPER_CLAUDE is not the pinned version", "found", version, "pinned", snapshot.ClaudeVersion, "err", err)
	}
}
