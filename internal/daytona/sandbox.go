package daytona

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// States of a sandbox that callers decide by. There are more; they are on the way to one of these.
const (
	StateStarted     = "started"
	StateStopped     = "stopped"
	StateArchived    = "archived"
	StateError       = "error"
	StateBuildFailed = "build_failed"
	StateDestroyed   = "destroyed"
	StateDestroying  = "destroying"
)

// Sandbox is what the platform says about one sandbox, now.
type Sandbox struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	State       string            `json:"state"`
	Snapshot    string            `json:"snapshot"`
	ErrorReason string            `json:"errorReason"`
	Env         map[string]string `json:"env"` // absent in lists
	Labels      map[string]string `json:"labels"`
	ToolboxURL  string            `json:"toolboxProxyUrl"` // take it from the newest answer; it may change
	CreatedAt   time.Time         `json:"createdAt"`
}

// Create says what sandbox to make.
type Create struct {
	Name     string            // must be unique: a lost answer is looked up by it
	Snapshot string            // id or name; "" means the platform's default
	Env      map[string]string // environment of every process in it
	Labels   map[string]string

	AutoStopMinutes   int // without activity; 0 leaves it to the platform (15), negative means never
	AutoDeleteMinutes int // after it stopped; 0 leaves it to the platform (never)
}

// createBody is the request of a creation.
type createBody struct {
	Name       string            `json:"name"`
	Snapshot   string            `json:"snapshot,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Target     string            `json:"target,omitempty"`
	AutoStop   *int              `json:"autoStopInterval,omitempty"`
	AutoDelete *int              `json:"autoDeleteInterval,omitempty"`
}

// Create makes a sandbox and waits until it is started. It asks once; if the answer is lost or the name is taken,
// it looks the sandbox up by its name and goes on with what it finds, so calling it again with the same name is
// safe. ErrFailed means that a sandbox of that name is there and broken: the caller deletes it.
func (c *Client) Create(ctx context.Context, q Create) (Sandbox, error) {
	if q.Name == "" {
		return Sandbox{}, errors.New("create a sandbox: it needs a name, for a lost answer is looked up by it")
	}
	sb, err := c.create(ctx, q)
	if err == nil {
		sb, err = c.await(ctx, sb)
	}
	if err != nil {
		return sb, fmt.Errorf("create sandbox %s: %w", q.Name, err)
	}
	return sb, nil
}

func (c *Client) create(ctx context.Context, q Create) (Sandbox, error) {
	body := createBody{Name: q.Name, Snapshot: q.Snapshot, Env: q.Env, Labels: q.Labels, Target: c.target}
	if q.AutoStopMinutes != 0 {
		never := max(q.AutoStopMinutes, 0) // the platform's own "never" is 0
		body.AutoStop = &never
	}
	if q.AutoDeleteMinutes != 0 {
		body.AutoDelete = &q.AutoDeleteMinutes
	}
	var sb Sandbox
	// The platform itself waits up to 30 s for the sandbox before it answers.
	asked := c.do(ctx, call{method: http.MethodPost, url: c.base + "/sandbox", body: body, within: 90 * time.Second}, &sb)
	if asked == nil && sb.ID != "" {
		return sb, nil
	}
	if !lostOrTaken(asked) || ctx.Err() != nil {
		return Sandbox{}, asked
	}
	found, err := c.Get(ctx, q.Name)
	if err != nil && asked != nil {
		return Sandbox{}, asked // the first fault says more
	}
	return found, err
}

// lostOrTaken reports whether the sandbox may exist although its creation was not confirmed.
func lostOrTaken(err error) bool {
	var e *Error
	return !errors.As(err, &e) || e.Status == http.StatusConflict || e.Status >= 500
}

// Get returns a sandbox by id or name, or ErrNotFound.
func (c *Client) Get(ctx context.Context, idOrName string) (Sandbox, error) {
	var sb Sandbox
	err := c.do(ctx, call{method: http.MethodGet, url: c.sandboxURL(idOrName)}, &sb)
	return sb, err
}

// List returns every sandbox that has all the labels. On the hosted platform it may lag behind: do not conclude
// from it that a sandbox which was just made does not exist.
func (c *Client) List(ctx context.Context, labels map[string]string) ([]Sandbox, error) {
	query := url.Values{"limit": {"200"}}
	if len(labels) > 0 {
		raw, err := json.Marshal(labels)
		if err != nil {
			return nil, fmt.Errorf("list sandboxes: %w", err)
		}
		query.Set("labels", string(raw))
	}
	var all []Sandbox
	for {
		var page struct {
			Items      []Sandbox `json:"items"`
			NextCursor *string   `json:"nextCursor"`
		}
		if err := c.do(ctx, call{method: http.MethodGet, url: c.base + "/sandbox", query: query}, &page); err != nil {
			return nil, fmt.Errorf("list sandboxes: %w", err)
		}
		all = append(all, page.Items...) // a page may be empty and not the last
		if page.NextCursor == nil || *page.NextCursor == "" {
			return all, nil
		}
		query.Set("cursor", *page.NextCursor)
	}
}

// Delete asks the platform to destroy a sandbox; that goes on after the answer. One that is gone already is fine.
func (c *Client) Delete(ctx context.Context, id string) error {
	err := c.do(ctx, call{method: http.MethodDelete, url: c.sandboxURL(id)}, nil)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Start starts a stopped sandbox and waits until it is started. One that is started already is fine.
func (c *Client) Start(ctx context.Context, id string) (Sandbox, error) {
	var sb Sandbox
	err := c.do(ctx, call{method: http.MethodPost, url: c.sandboxURL(id) + "/start", within: 90 * time.Second}, &sb)
	if err == nil {
		sb.ID = cmp.Or(sb.ID, id)
		sb, err = c.await(ctx, sb)
	}
	if err != nil {
		return sb, fmt.Errorf("start sandbox %s: %w", id, err)
	}
	return sb, nil
}

// Stop asks the platform to stop a sandbox: its processes get SIGTERM and, after about ten seconds, SIGKILL; with
// force SIGKILL at once. Its files stay. It goes on after the answer.
func (c *Client) Stop(ctx context.Context, id string, force bool) error {
	q := call{method: http.MethodPost, url: c.sandboxURL(id) + "/stop"}
	if force {
		q.query = url.Values{"force": {strconv.FormatBool(force)}}
	}
	return c.do(ctx, q, nil)
}

// Touch counts as activity: it puts off the automatic stop. A command that runs with nobody connected does not.
func (c *Client) Touch(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodPost, url: c.sandboxURL(id) + "/last-activity", body: struct{}{}}, nil)
}

func (c *Client) sandboxURL(idOrName string) string {
	return c.base + "/sandbox/" + url.PathEscape(idOrName)
}

// await polls until a sandbox is started: every 100 ms for 5 s, then ever slower, up to once a second.
func (c *Client) await(ctx context.Context, sb Sandbox) (Sandbox, error) {
	ctx, cancel := context.WithTimeout(ctx, c.start)
	defer cancel()
	pause, began := 100*time.Millisecond, time.Now()
	for {
		switch sb.State {
		case StateStarted:
			return sb, nil
		case StateError, StateBuildFailed, StateDestroyed, StateDestroying:
			return sb, fmt.Errorf("%w: %s %s", ErrFailed, sb.State, sb.ErrorReason)
		}
		if !sleep(ctx, pause) {
			return sb, fmt.Errorf("not started but %q after %s: %w", sb.State, time.Since(began).Round(time.Second), ctx.Err())
		}
		if time.Since(began) > 5*time.Second {
			pause = min(pause*11/10, time.Second)
		}
		next, err := c.Get(ctx, sb.ID)
		if err != nil {
			return sb, err
		}
		sb = next
	}
}
