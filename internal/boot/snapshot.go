package boot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sandpiper/internal/store"
	"sandpiper/snapshot"
)

// chooseSnapshot settles what new sandboxes are made from. An embedded Daytona has a snapshot of its own. On a platform it
// is the one that is configured, which becomes the current one of this deployment; else the current one; else the one in
// the cache file of the guide, if somebody put it there; else none, and the platform's default serves.
func (h *House) chooseSnapshot(ctx context.Context, s *store.Store) error {
	if h.local != nil {
		h.snapshot = cmp.Or(h.cfg.Snapshot, snapshot.Name())
		return nil
	}
	var known cached
	if err := h.cache().read(&known); err != nil {
		h.log.WarnContext(ctx, "the snapshot's cache file cannot be read", "err", err)
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
		if err := h.mirror(h.snapshot); err != nil { // it is for people and their scripts: SQL is the truth
			h.log.WarnContext(ctx, "the snapshot's cache file cannot be written", "err", err)
		}
	}
	return nil
}

// cached is the guide's cache file. What we do not know of a snapshot is empty.
type cached struct {
	Name        string `json:"name"`
	ID          string `json:"id"`
	DockerHash  string `json:"dockerHash"`
	TS          int64  `json:"ts"` // Unix milliseconds
	CreatedFrom string `json:"createdFrom"`
}

func (h *House) cache() kept { return kept{filepath.Join(h.cfg.Data, "snapshot-cache.json")} }

// mirror writes the cache file: the current snapshot, for whoever reads files.
func (h *House) mirror(name string) error {
	c := cached{Name: name, TS: time.Now().UnixMilli(), CreatedFrom: "elsewhere"}
	if name == snapshot.Name() {
		sum := sha256.Sum256([]byte(snapshot.Dockerfile))
		c.DockerHash, c.CreatedFrom = hex.EncodeToString(sum[:]), "current-dockerfile"
	}
	if err := os.MkdirAll(h.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return h.cache().write(c)
}
