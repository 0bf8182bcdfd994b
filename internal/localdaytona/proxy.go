package localdaytona

import (
	"context"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"sandpiper/internal/localdaytona/daemon"
)

func socketTransport(dir string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, dir) }}
}

// daemonTransport reaches the daemons: the host of a request is a sandbox's id.
func (s *Server) daemonTransport() *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, DisableCompression: true,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			id, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return dialSocket(ctx, filepath.Join(sandboxesDir(s.o.Dir), id))
		},
	}
}

const skipActivity = "X-Daytona-Skip-Last-Activity-Update"

// toolbox passes /toolbox/{id}/... on to the sandbox's daemon, WebSockets too. It sets no time limit: a synchronous
// command may take hours.
func (s *Server) toolbox() http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport:     s.transport,
		FlushInterval: -1, // a followed log is read as it grows
		Rewrite: func(p *httputil.ProxyRequest) {
			id, rest, _ := strings.Cut(strings.TrimPrefix(p.In.URL.EscapedPath(), "/toolbox/"), "/")
			path, _ := url.PathUnescape("/" + rest) // it came from EscapedPath
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.URL.Path, p.Out.URL.RawPath = "http", id, path, "/"+rest
			p.Out.Header.Del("Authorization") // the daemon, and so the sandbox, never sees the key
			p.Out.Host = ""
		},
		// The daemon went away in mid-request, or the client did: the platform answers with an empty body.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ErrorLog:     log.New(discard{}, "", 0),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/toolbox/"), "/")
		box, fault := s.reach(r, id)
		switch {
		case fault != nil:
			fault(w, r)
			return
		case strings.HasPrefix("/"+path, daemon.StopPath):
			http.NotFound(w, r)
			return
		}
		// A daemon may begin its answer before our transport has seen the end of the request's body. The server would close
		// the body then, the transport take that for a failure, and the answer be cut in its middle.
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/1 has it; nothing else needs it
		if r.Header.Get(skipActivity) != "true" {
			s.touch(box, 1)
			defer s.touch(box, -1)
		}
		proxy.ServeHTTP(w, r)
	})
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// reach finds the sandbox of a toolbox request, or the answer that refuses it. Names do not work here, and an unknown
// id is answered like a bad key.
func (s *Server) reach(r *http.Request, id string) (*record, http.HandlerFunc) {
	if r.Header.Get("Authorization") == "" {
		return nil, unauthorized("unauthorized: missing authentication: Bearer token is required")
	}
	s.mu.Lock()
	box := s.sandboxes[id]
	s.mu.Unlock()
	if !s.knows(r) || box == nil {
		return nil, unauthorized("unauthorized: authentication failed: Bearer token is invalid")
	}
	s.look(box)
	s.mu.Lock()
	defer s.mu.Unlock()
	if box.State != started {
		return nil, func(w http.ResponseWriter, r *http.Request) {
			replyProxyFault(w, r, http.StatusBadRequest, "BAD_REQUEST",
				"bad request: failed to resolve container IP after 3 attempts: no IP address found. Is the Sandbox started?")
		}
	}
	return box, nil
}

func unauthorized(message string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		replyProxyFault(w, r, http.StatusUnauthorized, "UNAUTHORIZED", message)
	}
}

// touch counts open requests and remembers the last use. An open request keeps its sandbox from auto-stop.
func (s *Server) touch(r *record, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.open += open
	r.Activity = time.Now() // on disk with the next change of state; a new server takes its own start for it
}
