package daytona

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// sdkVersion is sent with every request. The daemon in a sandbox shapes its answers by it: from 0.167.0 on,
// command results carry stdout and stderr apart; without a valid version both are mixed in one string.
const sdkVersion = "0.205.1"

const (
	answerWithin = time.Minute     // for a call that has nothing to wait for
	filesWithin  = 5 * time.Minute // for uploads and downloads
	answerLimit  = 64 << 20        // bytes of one answer; a safeguard, no honest answer is near it
)

// Options say where the platform is and who we are.
type Options struct {
	URL    string // base of the API, with its /api, e.g. "https://app.daytona.io/api"
	Key    string // sent as a bearer token, to the API and to the toolbox proxy
	Target string // region for new sandboxes; "" leaves it to the platform

	HTTP         *http.Client  // nil means a client of its own; redirects are never followed
	Source       string        // X-Daytona-Source; "" means "sandpiper"
	StartTimeout time.Duration // how long Create and Start wait for "started"; 0 means 2 minutes
}

// Client talks to one Daytona platform. It may be used by many goroutines.
type Client struct {
	base   string
	key    string
	target string
	source string
	start  time.Duration
	http   *http.Client
}

// New returns a client. It does not connect.
func New(o Options) *Client {
	h := http.Client{Transport: transport()}
	if o.HTTP != nil {
		h = *o.HTTP
	}
	// A redirect could carry the key elsewhere, and the platform sends none.
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		base:   strings.TrimRight(o.URL, "/"),
		key:    o.Key,
		target: o.Target,
		source: cmp.Or(o.Source, "sandpiper"),
		start:  cmp.Or(o.StartTimeout, 2*time.Minute),
		http:   &h,
	}
}

// transport keeps as many idle connections as there are runs to follow: the default of two per host would make
// every other poll dial again.
func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 256
	return t
}

// Close gives idle connections back. The client may be used on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call is one request. body is sent as JSON unless it is a *payload.
type call struct {
	method string
	url    string
	query  url.Values
	header http.Header
	body   any
	within time.Duration // 0 means answerWithin

	keyless bool // the key stays here
}

// do sends one call and decodes a JSON answer into out, unless out is nil or the answer is empty.
func (c *Client) do(ctx context.Context, q call, out any) error {
	return c.read(ctx, q, func(_ *http.Response, body []byte) error {
		if out == nil || len(bytes.TrimSpace(body)) == 0 {
			return nil
		}
		if err := json.Unmarshal(body, out); err != nil {
			return fmt.Errorf("decode the answer of %s %s: %w: %w", q.method, pathOf(q.url), errAnswer, err)
		}
		return nil
	})
}

// read sends one call, again if that is safe, and hands its whole answer to use.
func (c *Client) read(ctx context.Context, q call, use func(*http.Response, []byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(q.within, answerWithin))
	defer cancel()
	return c.again(ctx, q.method, func() error {
		resp, err := c.send(ctx, q)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
		switch {
		case resp.StatusCode < 200 || resp.StatusCode > 299:
			return c.refusal(q, resp, body)
		case err != nil:
			return fmt.Errorf("read the answer of %s %s: %w", q.method, pathOf(q.url), err)
		}
		return use(resp, body)
	})
}

func (c *Client) send(ctx context.Context, q call) (*http.Response, error) {
	body, err := encode(q.body)
	if err != nil {
		return nil, fmt.Errorf("encode the body of %s %s: %w", q.method, pathOf(q.url), err)
	}
	target := q.url
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, q.method, target, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range q.header {
		req.Header[name] = values
	}
	body.put(req)
	if !q.keyless {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	req.Header.Set("X-Daytona-Source", c.source)
	req.Header.Set("X-Daytona-SDK-Version", sdkVersion)
	req.Header.Set("User-Agent", c.source)
	resp, err := c.http.Do(req)
	if err != nil {
		// A *url.Error repeats the whole URL; the path says enough, and the query may hold a name.
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("%s %s: %w", q.method, pathOf(q.url), err)
	}
	return resp, nil
}

// pathOf is the part of a URL that error texts show.
func pathOf(full string) string {
	if u, err := url.Parse(full); err == nil {
		return u.EscapedPath()
	}
	return "(bad URL)"
}
