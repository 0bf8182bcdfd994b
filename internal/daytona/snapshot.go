package daytona

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// SnapshotActive is the state of a snapshot that sandboxes can be made from.
const SnapshotActive = "active"

// Snapshot is what the platform says about one snapshot.
type Snapshot struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	State       string `json:"state"`
	ErrorReason string `json:"errorReason"`
}

// Snapshot returns a snapshot by id or name, or ErrNotFound.
func (c *Client) Snapshot(ctx context.Context, idOrName string) (Snapshot, error) {
	var s Snapshot
	err := c.do(ctx, call{method: http.MethodGet, url: c.base + "/snapshots/" + url.PathEscape(idOrName)}, &s)
	return s, err
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
