// Package monitor serves asynqmon, the web page over asynq's queues, to be looked at and no more: nothing that it is
// asked changes Redis. What it shows are hints; the truth is in SQL, and a job that waits there need not be on the page.
//
// It stands beside the queue and not in it, as nothing that carries hints needs a web page.
package monitor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"sandpiper/internal/queue/redisurl"
)

// Path is where the pages are served; they hold links to it.
const Path = "/ops/queues"

// patience bounds each question to Redis: somebody sits before a page that says nothing meanwhile.
const patience = 2 * time.Second

// Monitor is an http.Handler of Path and everything below it.
type Monitor struct {
	pages  *asynqmon.HTTPHandler
	policy string // Content-Security-Policy
}

// Open makes the pages over the Redis at url (see redisurl.Parse). It does not wait for Redis: while that is away, the
// pages say so.
func Open(url string) (*Monitor, error) {
	opts, err := redisurl.Parse(url)
	if err != nil {
		return nil, fmt.Errorf("open the queues' pages: the URL of Redis %w", err)
	}
	m := &Monitor{pages: asynqmon.New(asynqmon.Options{
		RootPath: Path, RedisConnOpt: connect{opts}, ReadOnly: true,
		PayloadFormatter: asynqmon.PayloadFormatterFunc(payload),
		ResultFormatter:  asynqmon.ResultFormatterFunc(func(string, []byte) string { return "" }), // hints have none
	})}
	m.policy = policy(m.pages)
	return m, nil
}

// Close ends its connections.
func (m *Monitor) Close() error { return m.pages.Close() }

// ServeHTTP answers questions. asynqmon too refuses what would change something; here nothing of the kind reaches it.
func (m *Monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "these pages change nothing", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", m.policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	asked := r.Clone(r.Context())
	asked.Method = http.MethodGet // it knows no HEAD, and net/http leaves the body out
	m.pages.ServeHTTP(typed{w, r.URL.Path}, asked)
}

// payload shows the id of a job, which is all that a hint of ours holds. Other programs may use the same Redis, and
// what they keep there is not for this page.
func payload(_ string, b []byte) string {
	id := string(b)
	for _, c := range id {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", c) {
			return "not a job of Sandpiper"
		}
	}
	if !strings.HasPrefix(id, "job_") || len(id) > 64 {
		return "not a job of Sandpiper"
	}
	return id
}

// connect makes the client that asynqmon, and the inspector in it, ask for.
type connect struct{ opts *redis.UniversalOptions }

func (c connect) MakeRedisClient() any {
	o := redisurl.Plain(c.opts)
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = patience, patience, patience, patience
	return redis.NewUniversalClient(o)
}

// typed says what a file is by its name. asynqmon guesses by content, and takes a drawing (SVG) for plain text: no browser
// shows that as a picture.
type typed struct {
	http.ResponseWriter
	path string
}

func (t typed) Write(b []byte) (int, error) {
	if strings.HasSuffix(t.path, ".svg") {
		t.Header().Set("Content-Type", "image/svg+xml")
	}
	return t.ResponseWriter.Write(b)
}

// page is the first page as asynqmon writes it.
func page(pages http.Handler) string {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, Path, http.NoBody)
	if err != nil {
		panic(err) // a constant address
	}
	var b body
	pages.ServeHTTP(&b, r)
	return b.String()
}

// body keeps what a handler writes.
type body struct {
	strings.Builder
	header http.Header
}

func (b *body) Header() http.Header {
	if b.header == nil {
		b.header = http.Header{}
	}
	return b.header
}

func (b *body) WriteHeader(int) {}
