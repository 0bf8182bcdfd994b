package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"sandpiper/internal/config"
	"sandpiper/internal/store"
)

// ErrNoDeployment means that a configuration leads to no database.
var ErrNoDeployment = errors.New("no deployment is known here")

// Deployment is what a command asks and changes of a deployment's database, with and without a process beside it.
type Deployment struct {
	store *store.Store
	local bool
}

// OpenDeployment opens the database of a configuration, and makes none. ErrNoDeployment: there is no Postgres
// configured, and the SQLite file is not there. store.ErrLocked: a process has that file.
func OpenDeployment(ctx context.Context, cfg config.Config) (*Deployment, error) {
	if path, file := strings.CutPrefix(cfg.Database(), "sqlite:"); file {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: DATABASE_URL is not set, and there is no %s", ErrNoDeployment, path)
		}
	}
	s, err := store.Open(ctx, cfg.Database(), store.Options{Log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, store.ErrLocked) {
		err = fmt.Errorf("%w; `sandpiper stop` ends an up of this data directory", err)
	}
	if err != nil {
		return nil, err
	}
	return &Deployment{s, cfg.LocalDaytona()}, nil
}

// Close closes the database.
func (d *Deployment) Close() error { return d.store.Close() }

// Snapshot is the name of the current snapshot, "" when none is known.
func (d *Deployment) Snapshot(ctx context.Context) (string, error) {
	if d.local {
		return d.store.LocalSnapshot(ctx)
	}
	return d.store.Snapshot(ctx)
}

// Use makes a snapshot the current one.
func (d *Deployment) Use(ctx context.Context, name string) error {
	if d.local {
		return d.store.SetLocalSnapshot(ctx, name)
	}
	return d.store.SetSnapshot(ctx, name)
}

// InUse counts the sandboxes that are not gone by the snapshot that they were, or are to be, made from.
func (d *Deployment) InUse(ctx context.Context) (map[string]int, error) {
	used := map[string]int{}
	for after := int64(0); ; {
		page, next, err := d.store.LiveSandboxes(ctx, after, 500)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return used, nil
		}
		for _, sb := range page {
			used[sb.Snapshot]++
		}
		after = next
	}
}
