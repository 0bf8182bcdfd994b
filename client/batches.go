package client

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// AcceptedBatch is the answer to what makes a batch: all its jobs are stored for good.
type AcceptedBatch struct {
	BatchID  string       `json:"batchId"`
	Accepted int64        `json:"accepted"`         // lines that became jobs
	Rejected int64        `json:"rejected"`         // lines that were left out
	Errors   []FieldError `json:"errors,omitempty"` // of those, the first ones
}

// Batch is a batch as the API shows it.
type Batch struct {
	BatchID         string          `json:"batchId"`
	UserID          string          `json:"userId"`
	State           string          `json:"state"` // "running" until all its jobs have ended, then "ended"
	Accepted        int64           `json:"accepted"`
	Rejected        int64           `json:"rejected"`
	CancelRequested bool            `json:"cancelRequested"`
	Counts          map[State]int64 `json:"counts"`
	CostUSD         float64         `json:"costUsd"` // of what has a known price
	CreatedAt       time.Time       `json:"createdAt"`
}

// Ended reports whether no job of the batch will change any more.
func (b Batch) Ended() bool { return b.State == "ended" }

// ResultLine is one line of a batch's results: how its job is, and what came of it.
type ResultLine struct {
	CustomID string       `json:"custom_id"`
	JobID    string       `json:"jobId"` // "" while the line waits to become a job; it is queued then
	State    State        `json:"state"`
	Result   *Result      `json:"result"` // set when it succeeded
	Error    *Failure     `json:"error"`  // set when it ended otherwise
	Usage    []ModelUsage `json:"usage"`
	CostUSD  *float64     `json:"costUsd"`
}

// Batch reads how a batch is.
func (c *Client) Batch(ctx context.Context, id string) (Batch, error) {
	var b Batch
	err := c.do(ctx, call{method: http.MethodGet, path: batchPath(id), query: c.asUser(nil), repeatable: true}, &b)
	if err != nil {
		return Batch{}, fmt.Errorf("read batch %s: %w", id, err)
	}
	return b, nil
}

// WaitBatch reads a batch again and again until all its jobs have ended, and shows each reading to seen, which may be nil.
// An API that is away is asked again for as long as ctx lives.
func (c *Client) WaitBatch(ctx context.Context, id string, seen func(Batch)) (Batch, error) {
	for n := 1; ; n++ {
		b, err := c.Batch(ctx, id)
		if err == nil && seen != nil {
			seen(b)
		}
		switch {
		case err == nil && b.Ended():
			return b, nil
		case ctx.Err() != nil:
			return b, context.Cause(ctx)
		case err != nil && !worthRepeating(err):
			return b, err
		}
		if err := sleep(ctx, max(c.backoff(n), retryAfter(err))); err != nil {
			return b, err
		}
	}
}

// BatchResults streams the results of a batch as they come over the wire: a line of JSON for every job, in the order in
// which they were submitted, also while some have not ended. A stream that breaks off ends with an error other than io.EOF.
// The caller closes it.
func (c *Client) BatchResults(ctx context.Context, id string) (io.ReadCloser, error) {
	var lines io.ReadCloser
	err := c.repeat(ctx, true, func() error {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(batchPath(id)+"/results", c.asUser(nil)), nil)
		if err != nil {
			return err
		}
		q.Header = c.header()
		r, err := c.http.Do(q)
		if err != nil {
			return err
		}
		if r.StatusCode/100 != 2 {
			defer r.Body.Close()
			return problemOf(r)
		}
		lines = r.Body
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the results of batch %s: %w", id, err)
	}
	return lines, nil
}

// Results gives the lines of BatchResults one by one. The second value is set at most once, as the last thing.
func (c *Client) Results(ctx context.Context, id string) iter.Seq2[ResultLine, error] {
	return func(yield func(ResultLine, error) bool) {
		lines, err := c.BatchResults(ctx, id)
		if err != nil {
			yield(ResultLine{}, err)
			return
		}
		defer lines.Close()
		d := json.NewDecoder(bufio.NewReader(lines))
		for {
			var line ResultLine
			switch err := d.Decode(&line); {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(ResultLine{}, fmt.Errorf("read the results of batch %s: %w", id, err))
				return
			case !yield(line, nil):
				return
			}
		}
	}
}

// CancelBatch asks for the end of all jobs of a batch that have not ended, and returns it as it is then: they end soon, not
// at once. Asking twice does no harm.
func (c *Client) CancelBatch(ctx context.Context, id string) (Batch, error) {
	var b Batch
	err := c.do(ctx, call{method: http.MethodPost, path: batchPath(id) + "/cancel", query: c.asUser(nil), repeatable: true}, &b)
	if err != nil {
		return Batch{}, fmt.Errorf("cancel batch %s: %w", id, err)
	}
	return b, nil
}

// RetryFailed makes a new batch of the jobs of another one that failed. Its own repeats are harmless: they carry one key,
// which key may name, and are one batch.
func (c *Client) RetryFailed(ctx context.Context, id, key string) (AcceptedBatch, error) {
	if key == "" {
		key = rand.Text()
	}
	var a AcceptedBatch
	err := c.do(ctx, call{method: http.MethodPost, path: batchPath(id) + "/retry-failed", query: c.asUser(nil), key: key, repeatable: true}, &a)
	if err == nil {
		err = a.whole()
	}
	if err != nil {
		return AcceptedBatch{}, fmt.Errorf("retry what failed of batch %s: %w", id, err)
	}
	return a, nil
}

func (a AcceptedBatch) whole() error {
	if a.BatchID == "" {
		return errors.New("the answer names no batch")
	}
	return nil
}

func batchPath(id string) string { return "/api/batches/" + url.PathEscape(id) }
