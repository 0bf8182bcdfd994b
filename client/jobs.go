package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const longestWait = 60 * time.Second // what the API waits at most in one call

// Submit hands a prompt over and returns the job's id. When it returns without an error the job is stored for good.
// A *Problem with status 400, 409, 413 or 422 says that nothing was stored.
func (c *Client) Submit(ctx context.Context, s Submit) (string, error) {
	key := s.IdempotencyKey
	if key == "" {
		key = rand.Text()
	}
	a := acceptance{}
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/knowledge/process", body: s, key: key, repeatable: true}, &a)
	if err == nil {
		err = a.whole()
	}
	if err != nil {
		return "", fmt.Errorf("submit: %w", err)
	}
	return a.JobID, nil
}

// acceptance is the answer to what makes a job.
type acceptance struct {
	JobID    string `json:"jobId"`
	Accepted bool   `json:"accepted"`
}

func (a acceptance) whole() error {
	if a.JobID == "" || !a.Accepted {
		return errors.New("the answer names no accepted job")
	}
	return nil
}

// Job reads a job. With a wait above 0 the API answers when the job has ended, or after that time, at most 60 s.
func (c *Client) Job(ctx context.Context, id string, wait time.Duration) (Job, error) {
	q := url.Values{}
	if wait > 0 {
		q.Set("wait", min(wait, longestWait).String())
	}
	var j Job
	err := c.do(ctx, call{method: http.MethodGet, path: jobPath(id), query: c.asUser(q), repeatable: true}, &j)
	if err != nil {
		return Job{}, fmt.Errorf("read job %s: %w", id, err)
	}
	return j, nil
}

// Wait reads a job when it has ended, however long that takes; ctx is the limit.
func (c *Client) Wait(ctx context.Context, id string) (Job, error) {
	for n := 1; ; n++ {
		j, err := c.Job(ctx, id, longestWait/2)
		if err != nil || j.State.Ended() {
			return j, err
		}
		if err := ctx.Err(); err != nil { // a server that does not wait must not be asked in a tight loop
			return j, err
		}
		if err := sleep(ctx, c.backoff(n)); err != nil {
			return j, err
		}
	}
}

// JobsQuery chooses jobs. The zero value means the newest of all that the caller may see.
type JobsQuery struct {
	State   State
	BatchID string
	UserID  string
	Limit   int
	Cursor  string // Next of the page before
}

// JobsPage is a page of jobs, newest first.
type JobsPage struct {
	Items []Job  `json:"items"`
	Next  string `json:"next"` // "" on the last page
}

// Jobs lists jobs, newest first.
func (c *Client) Jobs(ctx context.Context, f JobsQuery) (JobsPage, error) {
	q := url.Values{}
	for name, v := range map[string]string{
		"state": string(f.State), "batchId": f.BatchID, "userId": f.UserID, "cursor": f.Cursor,
	} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var p JobsPage
	if err := c.do(ctx, call{method: http.MethodGet, path: "/api/jobs", query: c.asUser(q), repeatable: true}, &p); err != nil {
		return JobsPage{}, fmt.Errorf("list jobs: %w", err)
	}
	return p, nil
}

// EventsPage is a page of a job's events in their order.
type EventsPage struct {
	Items []Event `json:"items"`
	Next  *int64  `json:"next"` // seq to ask after for the next page; nil when there is none yet
	Gone  int64   `json:"gone"` // events up to this seq were deleted for their age; 0 = none of those asked for
}

// Events reads the events of a job whose seq is above after, at most limit of them; 0 leaves the number to the API.
func (c *Client) Events(ctx context.Context, id string, after int64, limit int) (EventsPage, error) {
	q := url.Values{"after": {strconv.FormatInt(max(after, 0), 10)}}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var p EventsPage
	err := c.do(ctx, call{method: http.MethodGet, path: jobPath(id) + "/events", query: c.asUser(q), repeatable: true}, &p)
	if err != nil {
		return EventsPage{}, fmt.Errorf("read events of job %s: %w", id, err)
	}
	return p, nil
}

// Cancel asks for a job's end and returns the job as it is then: a queued one has ended, a running one ends soon
// after. Asking twice does no harm; a job that has ended is a *Problem with status 409.
func (c *Client) Cancel(ctx context.Context, id string) (Job, error) {
	var j Job
	err := c.do(ctx, call{method: http.MethodPost, path: jobPath(id) + "/cancel", query: c.asUser(nil), repeatable: true}, &j)
	if err != nil {
		return Job{}, fmt.Errorf("cancel job %s: %w", id, err)
	}
	return j, nil
}

// Retry runs a job that has ended again, as a new job with the same input and options, and returns its id. Its own repeats
// are harmless: they are one job. A job that has not ended is a *Problem with status 409 and code JOB_NOT_FINISHED.
func (c *Client) Retry(ctx context.Context, id string) (string, error) {
	a := acceptance{}
	err := c.do(ctx, call{method: http.MethodPost, path: jobPath(id) + "/retry", query: c.asUser(nil), key: rand.Text(), repeatable: true}, &a)
	if err == nil {
		err = a.whole()
	}
	if err != nil {
		return "", fmt.Errorf("retry job %s: %w", id, err)
	}
	return a.JobID, nil
}

// Ready returns nil when the API takes and runs jobs, and says otherwise what it lacks. It asks once.
func (c *Client) Ready(ctx context.Context) error {
	if err := c.do(ctx, call{method: http.MethodGet, path: "/readyz"}, nil); err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	return nil
}

func jobPath(id string) string { return "/api/jobs/" + url.PathEscape(id) }
