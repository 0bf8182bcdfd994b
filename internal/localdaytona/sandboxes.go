package localdaytona

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// create makes a sandbox and starts it before it answers; the body is nevertheless the record as first inserted, in
// state creating, as on the platform: clients poll until started.
func (s *Server) create(w http.ResponseWriter, r *http.Request) error {
	box, err := s.decodeCreate(r)
	if err != nil {
		return err
	}
	if err := s.add(box); err != nil {
		return err
	}
	s.mu.Lock()
	v := s.viewOf(box, r)
	s.mu.Unlock()
	if err := s.bringUp(context.WithoutCancel(r.Context()), box); err != nil {
		s.log.Warn("sandbox did not start", "sandboxId", box.ID, "err", err)
		return apiFault{http.StatusBadRequest, "Sandbox failed to start: " + err.Error()}
	}
	reply(w, http.StatusOK, v)
	return nil
}

func (s *Server) replyView(w http.ResponseWriter, r *http.Request, status int, box *record) error {
	s.mu.Lock()
	v := s.viewOf(box, r)
	s.mu.Unlock()
	reply(w, status, v)
	return nil
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, box *record) error {
	return s.replyView(w, r, http.StatusOK, box)
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request, box *record) error {
	if err := s.deleteSandbox(box); err != nil {
		return err
	}
	return s.replyView(w, r, http.StatusOK, box)
}

func (s *Server) start(w http.ResponseWriter, r *http.Request, box *record) error {
	if err := s.startSandbox(r.Context(), box); err != nil {
		return err
	}
	return s.replyView(w, r, http.StatusOK, box)
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request, box *record) error {
	if err := s.stopSandbox(box, r.URL.Query().Get("force") == "true"); err != nil {
		return err
	}
	return s.replyView(w, r, http.StatusOK, box)
}

func (s *Server) lastActivity(w http.ResponseWriter, _ *http.Request, box *record) error {
	s.touch(box, 0)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// The intervals that can be set.
func autoStop(r *record, minutes int) error {
	if minutes < 0 {
		return apiFault{http.StatusBadRequest, "Auto-stop interval must be non-negative"}
	}
	r.AutoStop = minutes
	return nil
}

func autoArchive(r *record, minutes int) error {
	if minutes < 0 {
		return apiFault{http.StatusBadRequest, "Auto-archive interval must be non-negative"}
	}
	r.AutoArchive = minutes
	if minutes == 0 {
		r.AutoArchive = maxAutoArchive
	}
	return nil
}

func autoDelete(r *record, minutes int) error {
	r.AutoDelete = max(minutes, -1)
	return nil
}

func (s *Server) interval(set func(*record, int) error) func(http.ResponseWriter, *http.Request, *record) error {
	return func(w http.ResponseWriter, r *http.Request, box *record) error {
		minutes, err := strconv.Atoi(r.PathValue("minutes"))
		if err != nil {
			return apiFault{http.StatusBadRequest, "Validation failed (numeric string is expected)"}
		}
		if err := s.update(box, func() error { return set(box, minutes) }); err != nil {
			return err
		}
		return s.replyView(w, r, http.StatusCreated, box)
	}
}

// update changes a record and writes it.
func (s *Server) update(box *record, change func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := change(); err != nil {
		return err
	}
	if box.State == destroying {
		return nil // its folder may be gone
	}
	return box.save()
}

func (s *Server) public(w http.ResponseWriter, r *http.Request, box *record) error {
	public, err := strconv.ParseBool(r.PathValue("public"))
	if err != nil {
		return apiFault{http.StatusBadRequest, "Validation failed (boolean string is expected)"}
	}
	err = s.update(box, func() error {
		box.Public = public
		return nil
	})
	if err != nil {
		return err
	}
	return s.replyView(w, r, http.StatusCreated, box)
}

func (s *Server) labels(w http.ResponseWriter, r *http.Request, box *record) error {
	var q struct {
		Labels map[string]string `json:"labels"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Labels == nil {
		return apiFault{http.StatusBadRequest, "labels must be an object"}
	}
	err := s.update(box, func() error {
		box.Labels = q.Labels // a new map: views share the old one
		return nil
	})
	if err != nil {
		return err
	}
	return s.replyView(w, r, http.StatusOK, box)
}

func (s *Server) toolboxURL(w http.ResponseWriter, r *http.Request, _ *record) error {
	reply(w, http.StatusOK, map[string]string{"url": baseURL(r) + "/toolbox"})
	return nil
}

// maxAutoArchive is the platform's default maximum, in minutes.
const maxAutoArchive = 43200

func (s *Server) config(w http.ResponseWriter, r *http.Request) {
	limits := map[string]any{"ttl": 60, "limit": 1_000_000}
	reply(w, http.StatusOK, map[string]any{
		"version": "sandpiper", "environment": "local", "proxyToolboxUrl": baseURL(r) + "/toolbox",
		"defaultSnapshot": s.o.Snapshot, "maxAutoArchiveInterval": maxAutoArchive, "maintananceMode": false, // sic
		"oidc":      map[string]string{"issuer": "", "clientId": "", "audience": ""},
		"rateLimit": map[string]any{"authenticated": limits, "sandboxCreate": limits, "sandboxLifecycle": limits},
	})
}

// currentKey is the cheap probe of a key.
func (s *Server) currentKey(w http.ResponseWriter, _ *http.Request) error {
	reply(w, http.StatusOK, map[string]any{
		"name": "local", "value": "********", "createdAt": stamp(s.began), "permissions": []string{"write:sandboxes", "delete:sandboxes"},
		"lastUsedAt": stamp(time.Now()), "expiresAt": nil, "userId": "local",
	})
	return nil
}

func (s *Server) regions(w http.ResponseWriter, _ *http.Request) error {
	reply(w, http.StatusOK, []map[string]any{{
		"id": regionID, "name": regionID, "organizationId": organizationID, "regionType": "shared",
		"createdAt": stamp(s.began), "updatedAt": stamp(s.began),
	}})
	return nil
}
