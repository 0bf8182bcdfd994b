package boot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"sandpiper/internal/config"
)

// Daytona is the local Daytona alone: what several workers on one machine share. Run serves it; Close closes it.
type Daytona struct{ house *House }

// OpenDaytona opens the local Daytona of a data directory. When it fails, nothing stays open. Its error is ErrServed
// when another process, an up perhaps, serves the same directory.
func OpenDaytona(ctx context.Context, cfg config.Config, o Options) (*Daytona, error) {
	h := &House{cfg: cfg, log: cmp.Or(o.Log, slog.Default())}
	progress := o.Progress
	if progress == nil {
		progress = io.Discard
	}
	open := func() error {
		at, err := listen(cfg.DaytonaAddr) // before anything that takes time: a port in use is said at once
		if err != nil {
			return err
		}
		if err := h.openClaude(ctx, progress); err != nil {
			return errors.Join(err, at.Close())
		}
		_, err = h.openLocal(at)
		return err
	}
	if err := open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the local Daytona: %w", err), h.Close())
	}
	return &Daytona{h}, nil
}

// Run serves until ctx ends. Sandboxes and what runs in them go on; the next server of the directory finds them.
func (d *Daytona) Run(ctx context.Context) error { return d.house.local.Run(ctx, d.house.localAt) }

// Close lets go of the address and of the data directory.
func (d *Daytona) Close() error { return d.house.Close() }

// URL is the API's base, as DAYTONA_API_URL wants it.
func (d *Daytona) URL() string { return d.house.localURL() }

// KeyFile is where the key is kept that was made for it; "" when the caller gave one.
func (d *Daytona) KeyFile() string {
	if d.house.cfg.DaytonaKey.Set() {
		return ""
	}
	return keyFile(d.house.cfg.Data)
}

// Isolation says what holds its sandboxes in.
func (d *Daytona) Isolation() string { return d.house.local.Isolation() }

// Running says how many of its sandboxes are started.
func (d *Daytona) Running() int { return d.house.local.Running() }
