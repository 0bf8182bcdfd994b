package daytona

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// States of a snapshot that callers decide by. The others are on the way to one of these.
const (
	SnapshotPending     = "pending" // nothing was done yet
	SnapshotActive      = "active"  // sandboxes can be made from it
	SnapshotInactive    = "inactive"
	SnapshotError       = "error"
	SnapshotBuildFailed = "build_failed"
	SnapshotRemoving    = "removing"
)

// Snapshot is what the platform says about one snapshot.
type Snapshot struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	State       string    `json:"state"`
	ErrorReason string    `json:"errorReason"`
	General     bool      `json:"general"` // the platform's own, for everybody
	SizeGB      float64   `json:"size"`    // 0 when the platform does not say
	CreatedAt   time.Time `json:"createdAt"`
	LastUsedAt  time.Time `json:"lastUsedAt"` // zero: never

	Build struct {
		Dockerfile string `json:"dockerfileContent"`
	} `json:"buildInfo"` // empty unless it was built from a Dockerfile
}

// Failed reports whether no sandbox will ever be made from it.
func (s Snapshot) Failed() bool { return s.State == SnapshotError || s.State == SnapshotBuildFailed }

// Snapshot returns a snapshot by id or name, or ErrNotFound.
func (c *Client) Snapshot(ctx context.Context, idOrName string) (Snapshot, error) {
	var s Snapshot
	err := c.do(ctx, call{method: http.MethodGet, url: c.base + "/snapshots/" + url.PathEscape(idOrName)}, &s)
	return s, err
}

// Activate brings a snapshot that the platform has put out of service back, and waits until sandboxes can be made from
// it. One that is active already is fine. ErrFailed means that it cannot be activated any more. ErrSettling: not yet.
func (c *Client) Activate(ctx context.Context, idOrName string) error {
	ctx, cancel := context.WithTimeout(ctx, c.start)
	defer cancel()
	asked := false
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		s, err := c.Snapshot(ctx, idOrName)
		switch {
		case err != nil:
			return fmt.Errorf("activate snapshot %s: %w", idOrName, err)
		case s.State == SnapshotActive:
			return nil
		case s.Failed(), s.State == SnapshotRemoving:
			return fmt.Errorf("activate snapshot %s: %w: %s %s", idOrName, ErrFailed, s.State, s.ErrorReason)
		case s.State == SnapshotInactive && !asked:
			// By its id, which is the only name that this route takes.
			err = c.do(ctx, call{method: http.MethodPost, url: c.base + "/snapshots/" + url.PathEscape(s.ID) + "/activate"}, nil)
			if err != nil && !already(err) {
				return fmt.Errorf("activate snapshot %s: %w", idOrName, err)
			}
			asked = true
			continue
		}
		if !sleep(ctx, pause) {
			return fmt.Errorf("activate snapshot %s: it is %q: %w", idOrName, s.State, ctx.Err())
		}
	}
}

// already says that another worker was faster.
func already(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.says("is already active")
}

// Reach finds out whether a platform answers at all. It sends no key: many refusals of one block the whole address. Any
// answer will do but that of a proxy or a server which is out of order.
func (c *Client) Reach(ctx context.Context) error {
	err := c.do(ctx, call{method: http.MethodGet, url: c.base + "/health", keyless: true}, nil)
	var e *Error
	if errors.As(err, &e) && e.Status < http.StatusInternalServerError {
		return nil
	}
	return err
}
