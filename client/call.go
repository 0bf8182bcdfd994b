package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

const (
	longestPause = 5 * time.Second
	longestObey  = time.Minute // a server that asks for a longer pause is an error: the caller decides
)

// call is one request. Repeatable says that sending it twice does no harm.
type call struct {
	method     string
	path       string
	query      url.Values
	body       any // nil sends none
	key        string
	repeatable bool
}

// do sends a call, again if that may help and does no harm, and decodes the answer into out.
func (c *Client) do(ctx context.Context, k call, out any) error {
	var body []byte
	if k.body != nil {
		var err error
		if body, err = json.Marshal(k.body); err != nil {
			return err
		}
	}
	return c.repeat(ctx, k.repeatable, func() error { return c.once(ctx, k, body, out) })
}

// repeat asks, again if that may help and repeatable says that it does no harm.
func (c *Client) repeat(ctx context.Context, repeatable bool, ask func() error) error {
	for n := 1; ; n++ {
		err := ask()
		if err == nil || !repeatable || n >= c.tries || !worthRepeating(err) || retryAfter(err) > longestObey {
			return err
		}
		if err := sleep(ctx, max(c.backoff(n), retryAfter(err))); err != nil {
			return err
		}
	}
}

func (c *Client) once(ctx context.Context, k call, body []byte, out any) error {
	q, err := http.NewRequestWithContext(ctx, k.method, c.url(k.path, k.query), bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header = c.header()
	if k.body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if k.key != "" {
		q.Header.Set("Idempotency-Key", k.key)
	}
	return c.ask(q, out)
}

// ask sends a request and decodes its answer into out.
func (c *Client) ask(q *http.Request, out any) error {
	r, err := c.http.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode/100 != 2 {
		return problemOf(r)
	}
	if out == nil {
		_, err := io.Copy(io.Discard, r.Body)
		return err
	}
	if err := json.NewDecoder(r.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// worthRepeating tells a fault of the way from a refusal. An answer that broke off counts as the way's.
func worthRepeating(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		return p.transient()
	}
	var u unreadable
	if errors.As(err, &u) {
		return false
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// backoff is the pause before the n-th repeat, from 1, with up to half of it taken away so that many clients do not
// come back at the same moment.
func (c *Client) backoff(n int) time.Duration {
	d := min(c.pause<<min(n-1, 16), longestPause)
	return d - rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
