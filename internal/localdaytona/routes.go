package localdaytona

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
)

// Handler serves the control plane under /api and the sandboxes' toolboxes under /toolbox.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/health", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /api/config", s.config)
	for route, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /api/api-keys/current":     s.currentKey,
		"GET /api/regions":              s.regions,
		"GET /api/snapshots":            s.listSnapshots,
		"POST /api/snapshots":           s.createSnapshot,
		"GET /api/snapshots/{idOrName}": s.getSnapshot,

		"GET /api/snapshots/{id}/build-logs-url": s.buildLogsURL,
		"GET /api/snapshots/{id}/build-logs":     s.buildLogs,

		"DELETE /api/snapshots/{id}":          s.withSnapshot(s.removeSnapshot, withoutBody(http.StatusOK)),
		"POST /api/snapshots/{id}/activate":   s.withSnapshot(activateSnapshot, inBody),
		"POST /api/snapshots/{id}/deactivate": s.withSnapshot(deactivateSnapshot, withoutBody(http.StatusNoContent)),

		"POST /api/sandbox":                                  s.create,
		"GET /api/sandbox":                                   s.list,
		"GET /api/sandbox/paginated":                         s.listPage,
		"GET /api/sandbox/{idOrName}":                        s.with(s.get),
		"DELETE /api/sandbox/{idOrName}":                     s.with(s.remove),
		"POST /api/sandbox/{idOrName}/start":                 s.with(s.start),
		"POST /api/sandbox/{idOrName}/stop":                  s.with(s.stop),
		"POST /api/sandbox/{idOrName}/last-activity":         s.with(s.lastActivity),
		"POST /api/sandbox/{idOrName}/autostop/{minutes}":    s.with(s.interval(autoStop)),
		"POST /api/sandbox/{idOrName}/autoarchive/{minutes}": s.with(s.interval(autoArchive)),
		"POST /api/sandbox/{idOrName}/autodelete/{minutes}":  s.with(s.interval(autoDelete)),
		"POST /api/sandbox/{idOrName}/public/{public}":       s.with(s.public),
		"PUT /api/sandbox/{idOrName}/labels":                 s.with(s.labels),
		"GET /api/sandbox/{idOrName}/toolbox-proxy-url":      s.with(s.toolboxURL),
	} {
		mux.HandleFunc(route, s.authorized(h))
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		replyFault(w, r, apiFault{http.StatusNotFound, fmt.Sprintf("Cannot %s %s", r.Method, r.URL.Path)})
	})
	root := http.NewServeMux()
	root.Handle("/api/", mux)
	toolbox := s.toolbox()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Before the mux, which would clean the path: //, dots and escapes in it are the daemon's to judge.
		if strings.HasPrefix(r.URL.Path, "/toolbox/") {
			toolbox.ServeHTTP(w, r)
			return
		}
		root.ServeHTTP(w, r)
	})
}

// knows compares the request's bearer key in constant time.
func (s *Server) knows(r *http.Request) bool {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(key))
	return ok && subtle.ConstantTimeCompare(sum[:], s.key[:]) == 1
}

func (s *Server) authorized(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.knows(r) {
			replyFault(w, r, apiFault{http.StatusUnauthorized, "Invalid credentials"})
			return
		}
		if err := h(w, r); err != nil {
			replyFault(w, r, err)
		}
	}
}

// with finds the sandbox that the path names by id or name.
func (s *Server) with(h func(http.ResponseWriter, *http.Request, *record) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		name := r.PathValue("idOrName")
		box := s.find(name)
		if box == nil {
			return apiFault{http.StatusNotFound, fmt.Sprintf("Sandbox with ID or name %s not found", name)}
		}
		s.look(box)
		return h(w, r, box)
	}
}

func (s *Server) find(idOrName string) *record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.sandboxes[idOrName]; r != nil {
		return r
	}
	for _, r := range s.sandboxes {
		if r.Name == idOrName {
			return r
		}
	}
	return nil
}
