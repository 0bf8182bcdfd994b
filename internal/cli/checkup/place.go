package checkup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"sandpiper/internal/boot"
	"sandpiper/internal/claude"
	"sandpiper/internal/config"
	"sandpiper/internal/daytona"
	"sandpiper/internal/localdaytona"
	"sandpiper/snapshot"
)

// place is the platform and the model that are looked at: the configured ones, or what stands in for them here.
type place struct {
	cfg      config.Config
	dir      string // ours alone; removed by close
	url, key string // of the platform
	platform *daytona.Client
	snapshot string // "" is the platform's default
	model    string // base URL of the model API; "" is the command's own
	modelKey string
	endpoint claude.Endpoint
	local    *localdaytona.Server

	stop  context.CancelFunc
	parts sync.WaitGroup
}

// noKey is what a sandbox has for a key when the offline model answers. The command does not start without one.
const noKey = "the-offline-model-needs-no-key"

// openPlace brings up what is not configured. claude is the command for local sandboxes.
func openPlace(ctx context.Context, cfg config.Config, dir, claudePath string) (*place, error) {
	rest, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &place{
		cfg: cfg, dir: dir, url: cfg.DaytonaURL, key: cfg.DaytonaKey.Reveal(), snapshot: cfg.Snapshot,
		model: cfg.AnthropicURL, modelKey: cmp.Or(cfg.AnthropicKey.Reveal(), noKey), stop: stop,
	}
	target := cfg.DaytonaTarget
	if cfg.LocalDaytona() {
		if err := p.serveDaytona(rest, claudePath); err != nil {
			return nil, errors.Join(err, p.close(ctx))
		}
		target = ""
	}
	if cfg.OfflineModel() {
		if err := p.serveModel(rest); err != nil {
			return nil, errors.Join(err, p.close(ctx))
		}
	}
	var err error
	p.platform = daytona.New(daytona.Options{URL: p.url, Key: p.key, Target: target})
	if p.endpoint, err = claude.ParseEndpoint(p.model); err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	return p, nil
}

func (p *place) serveDaytona(ctx context.Context, claudePath string) (err error) {
	p.key, p.snapshot = "dtn_local_checkup", cmp.Or(p.snapshot, snapshot.Name())
	p.local, err = localdaytona.New(localdaytona.Options{
		Dir: filepath.Join(p.dir, "daytona"), Key: p.key, Claude: claudePath, Isolation: p.cfg.Isolation,
		Snapshot: snapshot.Name(), Dockerfile: snapshot.Dockerfile, Workspace: workspace(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.url = "http://" + l.Addr().String() + "/api"
	p.parts.Go(func() { _ = p.local.Run(ctx, l) }) // what it cannot serve shows in the checks
	return nil
}

func workspace() []localdaytona.WorkspaceEntry {
	entries := make([]localdaytona.WorkspaceEntry, len(snapshot.Manifest))
	for i, e := range snapshot.Manifest {
		entries[i] = localdaytona.WorkspaceEntry{Path: e.Path, Mode: e.Mode, Dir: e.Dir, Content: e.Content}
	}
	return entries
}

func (p *place) serveModel(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.model = "http://" + l.Addr().String()
	p.parts.Go(func() { _ = boot.ServeModel(ctx, l) })
	return nil
}

// close ends what openPlace brought up. Sandboxes are the visit's to delete.
func (p *place) close(ctx context.Context) error {
	var err error
	if p.local != nil {
		err = p.local.StopAll(ctx)
	}
	if p.platform != nil {
		p.platform.Close()
	}
	p.stop()
	p.parts.Wait()
	return err
}

// words say what is looked at.
func (p *place) words() string {
	where := "the platform at " + p.url
	if p.local != nil {
		where = fmt.Sprintf("a local Daytona made for this (isolation: %s)", p.local.Isolation())
	}
	if p.cfg.OfflineModel() {
		return where + "; the offline model"
	}
	return where + "; the model API at " + p.endpoint.Host
}

// claudeOf finds the command for local sandboxes without installing it.
func claudeOf(cfg config.Config) (string, error) {
	if !cfg.LocalDaytona() {
		return "", nil
	}
	path := cmp.Or(cfg.Claude, filepath.Join(cfg.Data, "claude", snapshot.ClaudeVersion, "node_modules", ".bin", "claude"))
	if _, err := os.Stat(path); err != nil {
		return "", remedy(fmt.Errorf("the claude command for local sandboxes is not installed in %s", cfg.Data),
			"run `sandpiper install-claude`, or set SANDPIPER_CLAUDE to a claude binary")
	}
	return path, nil
}
