package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// trap lies in wait for a request.
type trap struct {
	what string // lost, half, or a status
	kind string // of the request; "" is any
}

// The ways in which a request fails on its way, besides by a status.
const (
	lost = "answer lost" // it took effect, and the caller is told 502 or nothing at all
	half = "half an answer"
)

// httpProxy stands in front of an HTTP server, which may move.
type httpProxy struct {
	*wire
	server *http.Server
	kindOf func(*http.Request) string
	all    sync.WaitGroup

	mu       sync.Mutex
	upstream *url.URL
	traps    []trap
	seen     map[string]int // kinds of requests → how often
}

func newHTTPProxy(t testing.TB, name string, l *ledger, kindOf func(*http.Request) string) *httpProxy {
	t.Helper()
	p := &httpProxy{wire: newWire(t, name, l), kindOf: kindOf, seen: map[string]int{}}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // a server that was killed leaves no dead connection behind: that fault is cut's
	through := &httputil.ReverseProxy{
		Rewrite:       p.rewrite,
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = &http.Server{Handler: p.handler(through), ErrorLog: log.New(io.Discard, "", 0)}
	p.all.Go(func() { _ = p.server.Serve(p.wire) }) // it ends when it is closed
	t.Cleanup(func() {
		p.shut()
		_ = p.server.Close()
		p.all.Wait()
		transport.CloseIdleConnections()
	})
	return p
}

// url is where the proxy is found.
func (p *httpProxy) url() string { return "http://" + p.addr() }

// leads says where the server is now.
func (p *httpProxy) leads(to string) {
	u, err := url.Parse(to)
	if err != nil {
		panic(err) // it is an address that a process of ours has printed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = &url.URL{Scheme: u.Scheme, Host: u.Host}
}

func (p *httpProxy) rewrite(r *httputil.ProxyRequest) {
	p.mu.Lock()
	to := p.upstream
	p.mu.Unlock()
	if to == nil {
		to = &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	}
	r.SetURL(to)
	r.Out.Host = r.In.Host // the local Daytona tells callers the address that they used
}

// spring lets a trap lie in wait.
func (p *httpProxy) spring(t trap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traps = append(p.traps, t)
}

// disarm takes back what has not hit.
func (p *httpProxy) disarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traps = nil
}

// asked is how many requests of a kind have come.
func (p *httpProxy) asked(kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[kind]
}

func (p *httpProxy) trapped(kind string) (trap, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[kind]++
	i := slices.IndexFunc(p.traps, func(t trap) bool { return t.kind == "" || t.kind == kind })
	if i < 0 {
		return trap{}, false
	}
	t := p.traps[i]
	p.traps = slices.Delete(p.traps, i, i+1)
	p.ledger.hit(p.name + ": " + t.what + ": " + kind)
	return t, true
}

// handler passes requests on, unless they are trapped. A WebSocket is a connection; only cuts are for it.
func (p *httpProxy) handler(through http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		kind := p.kindOf(q)
		t, hit := trap{}, false
		if q.Header.Get("Upgrade") == "" {
			t, hit = p.trapped(kind)
		}
		switch {
		case !hit:
			through.ServeHTTP(w, q)
		case t.what == lost || t.what == half:
			p.spoil(w, q, through, t.what)
		default:
			var status int
			_, _ = fmt.Sscan(t.what, &status) // the plan's own
			w.Header().Set("Content-Type", "application/json")
			if status == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", "1")
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"message":"chaos"}`) // its caller may have gone
		}
	})
}

// spoil lets a request take effect and keeps its answer, or half of it, to itself.
func (p *httpProxy) spoil(w http.ResponseWriter, q *http.Request, through http.Handler, how string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Context()), time.Minute)
	defer cancel()
	answer := httptest.NewRecorder()
	func() {
		defer func() {
			if err, ok := recover().(error); ok && !errors.Is(err, http.ErrAbortHandler) {
				panic(err)
			}
		}()
		through.ServeHTTP(answer, q.WithContext(ctx))
	}()
	if how == half {
		body := answer.Body.Bytes()
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", fmt.Sprint(max(2, len(body))))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body[:len(body)/2])        // the caller is about to be left alone anyway
		_ = http.NewResponseController(w).Flush() // likewise
	}
	panic(http.ErrAbortHandler) // closes the connection
}

// sandboxKind names a request of the Daytona API, without the ids in it.
func sandboxKind(q *http.Request) string {
	parts := strings.Split(strings.Trim(q.URL.Path, "/"), "/")
	for i, part := range parts {
		if i > 0 && (parts[i-1] == "sandbox" || parts[i-1] == "toolbox" || parts[i-1] == "session") && len(part) > 12 {
			parts[i] = "*"
		}
	}
	kind := q.Method + " " + strings.TrimPrefix(strings.Join(parts, "/"), "api/")
	if q.Method == http.MethodPost && (strings.HasSuffix(kind, "/exec") || strings.HasSuffix(kind, "/execute")) {
		kind += " (" + scriptIn(q) + ")"
	}
	return kind
}

// scriptIn says which of the product's scripts a request runs.
func scriptIn(q *http.Request) string {
	body, err := io.ReadAll(q.Body)
	q.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return "cut"
	}
	for _, known := range []struct{ words, name string }{
		{"preflight: ", "preflight"}, {"run.sh\\\" launch", "launch"}, {"sandpiper-look", "look"}, {"sandpiper-follow", "follow"}, {"sandpiper-stop", "stop"},
	} {
		if bytes.Contains(body, []byte(known.words)) {
			return known.name
		}
	}
	return "other"
}

// apiKind names a request of our own API, without the ids in it.
func apiKind(q *http.Request) string {
	parts := strings.Split(strings.Trim(q.URL.Path, "/"), "/")
	if len(parts) > 2 && parts[1] == "jobs" {
		parts[2] = "*"
	}
	return q.Method + " " + strings.Join(parts, "/")
}
