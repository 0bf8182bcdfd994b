package boot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"sandpiper/internal/config"
	"sandpiper/internal/daytona"
	"sandpiper/internal/snapshots"
	"sandpiper/snapshot"
)

// Platform is the Daytona of a configuration, for a command that works on it and ends. Close it.
type Platform struct {
	*daytona.Client
	URL string // its API's base

	key   string
	local bool
	house *House        // what serves it here; nil when another process does
	ended chan struct{} // closed when that has ended
	stop  context.CancelFunc
}

// OpenPlatform finds the Daytona of a configuration: the one that is named, else the local one of the data directory. Where
// no process serves that, this one does until Close. furnished says that sandboxes will be made here: then the claude
// command is installed if it is missing.
func OpenPlatform(ctx context.Context, cfg config.Config, o Options, furnished bool) (*Platform, error) {
	p := &Platform{URL: cfg.DaytonaURL, key: cfg.DaytonaKey.Reveal(), local: cfg.LocalDaytona()}
	target := cfg.DaytonaTarget
	if p.local {
		target = ""
		if err := p.openLocal(ctx, cfg, o, furnished); err != nil {
			return nil, err
		}
	}
	p.Client = daytona.New(daytona.Options{URL: p.URL, Key: p.key, Target: target})
	return p, nil
}

// openLocal serves the local Daytona, or finds who does.
func (p *Platform) openLocal(ctx context.Context, cfg config.Config, o Options, furnished bool) error {
	h := &House{cfg: cfg, log: cmp.Or(o.Log, slog.Default())}
	err := p.serve(ctx, h, o.Progress, furnished)
	if err == nil {
		return nil
	}
	err = errors.Join(err, h.Close())
	if !errors.Is(err, ErrServed) {
		return fmt.Errorf("open the local Daytona: %w", err)
	}
	var who served
	if found := holder(cfg.Data, "daytona").read(&who); found != nil || who.URL == "" {
		return err // it has only just begun, or is of an older version
	}
	if p.key, err = localKey(cfg.Data); err != nil {
		return fmt.Errorf("read the local Daytona's key: %w", err)
	}
	p.URL = who.URL
	return nil
}

func (p *Platform) serve(ctx context.Context, h *House, progress io.Writer, furnished bool) error {
	if progress == nil {
		progress = io.Discard
	}
	at, err := listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	if !furnished {
		h.claude = installed(h.cfg)
	} else if err := h.openClaude(ctx, progress); err != nil {
		return errors.Join(err, at.Close())
	}
	if p.key, err = h.openLocal(at); err != nil {
		return err
	}
	p.URL, p.house, p.ended = h.localURL(), h, make(chan struct{})
	rest, stop := context.WithCancel(context.WithoutCancel(ctx)) // a command that is interrupted still clears up
	p.stop = stop
	go func() {
		defer close(p.ended)
		if err := h.local.Run(rest, at); err != nil {
			h.log.Error("the local Daytona ended", "err", err)
		}
	}()
	return nil
}

// installed is the path of the claude command if it is there, else "".
func installed(cfg config.Config) string {
	path := cmp.Or(cfg.Claude, filepath.Join(cfg.Data, "claude", snapshot.ClaudeVersion, "node_modules", ".bin", "claude"))
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// Close lets go of the platform. Sandboxes on it stay as they are.
func (p *Platform) Close() error {
	p.Client.Close()
	if p.house == nil {
		return nil
	}
	p.stop()
	<-p.ended
	return p.house.Close()
}

// Words say which platform it is.
func (p *Platform) Words() string {
	switch {
	case p.house != nil:
		return "the local Daytona of " + p.house.cfg.Data
	case p.local:
		return "the local Daytona at " + p.URL
	}
	return p.URL
}

// Place is how the snapshots' cache file names it: local ones change their port.
func (p *Platform) Place() string {
	if p.local {
		return snapshots.Local
	}
	return p.URL
}

// Environ are the variables by which other parts of this program reach it, and make sandboxes from a snapshot.
func (p *Platform) Environ(snapshot string) []string {
	return []string{"DAYTONA_API_URL=" + p.URL, "DAYTONA_API_KEY=" + p.key, "SANDPIPER_SNAPSHOT=" + snapshot}
}
