package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Sandbox is a sandbox as the API shows it.
type Sandbox struct {
	SandboxID string    `json:"sandboxId"`
	UserID    string    `json:"userId"`
	Status    string    `json:"status"` // "creating", "ready", "busy", "cleanup" (on its way out) or "gone"
	CreatedAt time.Time `json:"createdAt"`
}

// CreateSandbox makes a sandbox for a user, "" for the key's own. Its own repeats are harmless: they carry one key,
// and are one sandbox. A status of "creating" means that it is on its way; a job that names it waits for it.
func (c *Client) CreateSandbox(ctx context.Context, userID string) (Sandbox, error) {
	var made struct {
		Sandbox
		CreatedAt int64 `json:"createdAt"` // Unix milliseconds in this answer alone
	}
	body := map[string]string{}
	if userID != "" {
		body["userId"] = userID
	}
	if err := c.do(ctx, call{method: http.MethodPost, path: "/api/sandbox/create", body: body, key: rand.Text(), repeatable: true}, &made); err != nil {
		return Sandbox{}, fmt.Errorf("create a sandbox: %w", err)
	}
	made.Sandbox.CreatedAt = time.UnixMilli(made.CreatedAt)
	return made.Sandbox, nil
}

// Sandboxes lists the newest sandboxes that are not gone, at most limit of them; 0 leaves the number to the API.
func (c *Client) Sandboxes(ctx context.Context, limit int) ([]Sandbox, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var p struct {
		Items []Sandbox `json:"items"`
	}
	if err := c.do(ctx, call{method: http.MethodGet, path: "/api/sandboxes", query: c.asUser(q), repeatable: true}, &p); err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	return p.Items, nil
}

// DeleteSandbox deletes a sandbox with everything in it. A status of "cleanup" means that it is on its way out and will
// not be used again. Asking twice does no harm. While a job runs in it this is a *Problem with status 409 and code
// SANDBOX_BUSY.
func (c *Client) DeleteSandbox(ctx context.Context, id string) (Sandbox, error) {
	var s Sandbox
	path := "/api/sandboxes/" + url.PathEscape(id)
	if err := c.do(ctx, call{method: http.MethodDelete, path: path, query: c.asUser(nil), repeatable: true}, &s); err != nil {
		return Sandbox{}, fmt.Errorf("delete sandbox %s: %w", id, err)
	}
	return s, nil
}
