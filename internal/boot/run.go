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
	"sandpiper/internal/config"
	"sandpiper/snapshot"
)

// Run serves at once, waits for the database where that is a server, and runs every role until ctx ends or one of them
// fails. Then no new work is taken, prompts that are running are left running, and their leases are given back, so that
// another worker follows them at once.
func (h *House) Run(ctx context.Context) error {
	rest, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ground, below := errgroup.WithContext(rest)
	ground.Go(func() error { return h.bus.Run(below) })
	ground.Go(func() error { return h.lookout.Run(below) })
	if h.local != nil {
		ground.Go(func() error { return h.local.Run(below, h.localAt) })
	}

	ctx, halt := context.WithCancel(ctx)
	defer halt()
	defer context.AfterFunc(below, halt)() // the ground gave way
	work, busy := errgroup.WithContext(ctx)
	work.Go(func() error { return h.server.Run(busy, h.at) })
	work.Go(func() error {
		if err := h.reach(busy); err != nil || !h.isReached() {
			return err
		}
		h.watch()
		if h.relay != nil {
			ground.Go(func() error { return h.relay.Run(below) })
		}
		return h.work(busy)
	})
	err := work.Wait()

	stop()
	return cmp.Or(err, ground.Wait())
}

// work is every background role of a worker. None starts itself.
func (h *House) work(ctx context.Context) error {
	if h.worker == nil {
		return nil
	}
	if h.cfg.Role == config.RoleWorker {
		lean()
	}
	h.log.InfoContext(ctx, "the worker is at work", "worker", h.name, "slots", h.cfg.Concurrency)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.worker.Run(ctx) }) // it hands over at its end: others need not wait for the rest of us
	g.Go(func() error { return h.queue.Consume(ctx, h.cfg.Concurrency, h.worker.Handle) })
	g.Go(func() error { return h.queue.Hear(ctx, h.hinted) })
	g.Go(func() error { return h.sweeper.Run(ctx) })
	g.Go(func() error { return h.pruner.Run(ctx) })
	g.Go(func() error { return h.governor.Run(ctx) })
	g.Go(func() error { return h.batcher.Run(ctx) })
	g.Go(func() error { return h.keeper.Run(ctx) })
	g.Go(func() error { return h.forgetter.Run(ctx) })
	if !h.cfg.Noop() { // then there is no platform
		g.Go(func() error { return h.warden.Run(ctx) })
	}
	g.Go(func() error { return h.usher.Run(ctx) })
	if h.warmer != nil {
		g.Go(func() error { return h.warmer.Run(ctx) })
	}
	if h.reaper != nil {
		g.Go(func() error { return h.reaper.Run(ctx) })
	}
	if h.follower != nil {
		g.Go(func() error { return h.follower.Run(ctx) })
	}
	return g.Wait()
}

// Left says what goes on after a house was left.
type Left struct {
	Running int // prompts that keep running in their sandboxes
}

// Leave stops the sandboxes in which nothing runs and, when nothing runs at all, the offline model. Call it after
// Run and before Close.
func (h *House) Leave(ctx context.Context) (Left, error) {
	if !h.isReached() {
		return Left{}, nil // nothing is known of what runs, so nothing is touched
	}
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
