package client

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client speaks to one Sandpiper API. It is safe for concurrent use and holds no goroutine between calls.
type Client struct {
	base  string
	user  string
	key   Key
	http  *http.Client
	tries int
	pause time.Duration
	quiet time.Duration
}

// Options are what a client may be told. The zero value is right for an API on this machine without keys.
type Options struct {
	Key    Key          // sent as a bearer token; "" sends none
	UserID string       // in whose name to read; "" reads as the key's user, without keys as the local operator
	HTTP   *http.Client // nil means one without a total time limit: contexts limit the calls

	Tries int           // how often a call that may be repeated is sent; 0 means 4, 1 never repeats
	Pause time.Duration // before the first repeat, doubled each time up to 5 s; 0 means 100 ms
	Quiet time.Duration // how long Follow trusts a silent socket before it asks how the job is; 0 means 10 s
}

// New makes a client of the API at baseURL, for example "http://127.0.0.1:8787".
func New(baseURL string, o Options) *Client {
	return &Client{
		base:  strings.TrimRight(baseURL, "/"),
		user:  o.UserID,
		key:   o.Key,
		http:  cmp.Or(o.HTTP, defaultHTTP),
		tries: max(1, cmp.Or(o.Tries, 4)),
		pause: cmp.Or(o.Pause, 100*time.Millisecond),
		quiet: cmp.Or(o.Quiet, 10*time.Second),
	}
}

// defaultHTTP has no Timeout, which would also cut long polls and sockets. A server that takes a request and never
// begins to answer is given up after more than the longest poll, which is 60 s.
var defaultHTTP = &http.Client{Transport: patient()}

func patient() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 90 * time.Second
	return t
}

// url puts together the address of a route.
func (c *Client) url(path string, query url.Values) string {
	if len(query) == 0 {
		return c.base + path
	}
	return c.base + path + "?" + query.Encode()
}

// asUser adds in whose name a job is asked for. What makes something new names its user in the body.
func (c *Client) asUser(query url.Values) url.Values {
	if c.user == "" || query.Has("userId") {
		return query
	}
	if query == nil {
		query = url.Values{}
	}
	query.Set("userId", c.user)
	return query
}

// header is what every request carries.
func (c *Client) header() http.Header {
	h := http.Header{}
	if c.key != "" {
		h.Set("Authorization", "Bearer "+string(c.key))
	}
	return h
}
