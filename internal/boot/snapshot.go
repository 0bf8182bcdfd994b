package boot

import (
	"cmp"
	"context"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/snapshots"
	"sandpiper/internal/store"
	"sandpiper/snapshot"
)

// chooseSnapshot settles what new sandboxes are made from. On a platform it is the snapshot that is configured, which
// becomes the current one of this deployment; else the current one; else the one in the cache file of the guide, if somebody
// put it there; else none, and the platform's default serves. An embedded Daytona has a snapshot of its own, and a current one
// of its own that it may have lost.
func (h *House) chooseSnapshot(ctx context.Context, s *store.Store) error {
	if h.local != nil {
		current, err := s.LocalSnapshot(ctx)
		if !h.local.Offers(current) {
			current = ""
		}
		h.snapshot = cmp.Or(h.cfg.Snapshot, current, snapshot.Name())
		return err
	}
	known, err := snapshots.ReadCache(h.cfg.Data)
	if err != nil {
		h.log.WarnContext(ctx, "the snapshot's cache file cannot be read", "err", err)
	}
	if known.Platform != "" && known.Platform != h.platformURL {
		known = snapshots.Cached{} // it is about another one
	}
	current, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	h.snapshot = cmp.Or(h.cfg.Snapshot, current, known.Name)
	if h.snapshot != current {
		if err := s.SetSnapshot(ctx, h.snapshot); err != nil {
			return err
		}
	}
	if h.snapshot != known.Name {
		mirror := snapshots.CacheOf(daytona.Snapshot{Name: h.snapshot}, h.platformURL, time.Now())
		if err := mirror.Write(h.cfg.Data); err != nil { // it is for people and their scripts: SQL is the truth
			h.log.WarnContext(ctx, "the snapshot's cache file cannot be written", "err", err)
		}
	}
	return nil
}
