package localdaytona

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

func (s *Server) getSnapshot(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("idOrName")
	v, err := s.snapshotNamed(name)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, v)
	return nil
}

func (s *Server) snapshotNamed(idOrName string) (view map[string]any, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.findSnapshot(idOrName, true)
	if n == nil {
		return nil, noSnapshot(idOrName)
	}
	return s.snapshotView(n), nil
}

// snapshotBody is what creates one. Sizes and regions are not among it: all sandboxes have the same limits.
type snapshotBody struct {
	Name       string   `json:"name"`
	ImageName  string   `json:"imageName"`
	Entrypoint []string `json:"entrypoint"`
	BuildInfo  *struct {
		DockerfileContent string `json:"dockerfileContent"`
	} `json:"buildInfo"`
}

var tagged = regexp.MustCompile(`:[^/:]+$|@sha256:[0-9a-f]+$`)

func (b snapshotBody) fault() error {
	switch {
	case b.Name == "":
		return apiFault{http.StatusBadRequest, "name should not be empty"}
	case b.BuildInfo != nil:
		return nil
	case strings.HasSuffix(b.ImageName, ":latest"):
		return apiFault{http.StatusBadRequest, `Images with tag ":latest" are not allowed`}
	case !tagged.MatchString(b.ImageName):
		return apiFault{http.StatusBadRequest, "Image name must include a tag (e.g., ubuntu:22.04) or digest (@sha256:...)"}
	}
	return nil
}

// createSnapshot answers a pending snapshot, as the platform does; what becomes of it shows a moment later.
func (s *Server) createSnapshot(w http.ResponseWriter, r *http.Request) error {
	var q snapshotBody
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return apiFault{http.StatusBadRequest, "Invalid JSON in request body"}
	}
	if err := q.fault(); err != nil {
		return err
	}
	n := &snapshot{ID: uuid.NewString(), Name: q.Name, Image: q.ImageName, Entrypoint: q.Entrypoint, State: pending, Created: time.Now()}
	n.Updated = n.Created
	if q.BuildInfo != nil {
		n.Image, n.Dockerfile = "", q.BuildInfo.DockerfileContent
	}
	v, err := s.addSnapshot(n)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, v)
	if s.builds(n) {
		s.behind(func() { s.settleSnapshot(n) })
	} else {
		s.settleSnapshot(n)
	}
	return nil
}

// withSnapshot changes the snapshot that the path names, by id only, and answers it.
func (s *Server) withSnapshot(change func(*snapshot) error, answer func(http.ResponseWriter, map[string]any)) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := s.changeSnapshot(r.PathValue("id"), change)
		if err != nil {
			return err
		}
		answer(w, v)
		return nil
	}
}

func inBody(w http.ResponseWriter, view map[string]any) { reply(w, http.StatusOK, view) }

func withoutBody(status int) func(http.ResponseWriter, map[string]any) {
	return func(w http.ResponseWriter, _ map[string]any) { w.WriteHeader(status) }
}

// listSnapshots answers one page; the general one is last, in whatever order.
func (s *Server) listSnapshots(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page, limit, err := pageOf(q)
	if err != nil {
		return err
	}
	by, err := snapshotOrder(q)
	if err != nil {
		return err
	}
	s.mu.Lock()
	var found []*snapshot
	for _, n := range s.named {
		if strings.Contains(n.Name, q.Get("name")) && q.Get("sourceSandboxId") == "" { // none was made from a sandbox
			found = append(found, n)
		}
	}
	slices.SortStableFunc(found, by)
	items := []any{}
	for _, n := range pageIn(found, page, limit) {
		items = append(items, s.snapshotView(n))
	}
	s.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{"items": items, "total": len(found), "page": page, "totalPages": pages(len(found), limit)})
	return nil
}

func snapshotOrder(q url.Values) (func(a, b *snapshot) int, error) {
	keys := map[string]func(*snapshot) string{
		"name":       func(n *snapshot) string { return n.Name },
		"state":      func(n *snapshot) string { return n.State },
		"lastUsedAt": func(n *snapshot) string { return stamp(n.LastUsed) },
		"createdAt":  func(n *snapshot) string { return stamp(n.Created) },
	}
	key := keys[cmp.Or(q.Get("sort"), "createdAt")]
	if key == nil {
		return nil, apiFault{http.StatusBadRequest, "sort must be one of the following values: name, state, lastUsedAt, createdAt"}
	}
	return func(a, b *snapshot) int {
		switch {
		case a.general:
			return 1
		case b.general:
			return -1
		case q.Get("order") == "asc":
			return cmp.Compare(key(a), key(b))
		}
		return cmp.Compare(key(b), key(a))
	}, nil
}
