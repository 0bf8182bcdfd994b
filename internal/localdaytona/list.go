package localdaytona

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// filter is the query of a list, as far as a local Daytona needs it.
type filter struct {
	labels     map[string]string
	states     []string
	snapshots  []string
	id, name   string // prefixes
	narrow     []func(*record) bool
	sort       string
	descending bool
	limit      int
	afterKey   string // of the page before
	afterID    string
}

// list answers one page. The cursor is the place of its last item in the order, so it stays right while sandboxes
// come and go.
func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	f, err := s.readFilter(r.URL.Query())
	if err != nil {
		return err
	}
	for _, box := range s.all() {
		s.look(box)
	}
	s.mu.Lock()
	found := s.foundBy(f)
	items := []view{}
	var next *string
	for i, box := range found {
		if len(items) == f.limit {
			last := found[i-1]
			next = new(encodeCursor(f.key(last), last.ID))
			break
		}
		items = append(items, s.listViewOf(box, r))
	}
	s.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{"items": items, "nextCursor": next})
	return nil
}

// listPage is the older form of list: numbered pages, newest first, the same filters.
func (s *Server) listPage(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page, limit, err := pageOf(q)
	if err != nil {
		return err
	}
	q.Del("cursor")
	f, err := s.readFilter(q)
	if err != nil {
		return err
	}
	for _, box := range s.all() {
		s.look(box)
	}
	s.mu.Lock()
	found := s.foundBy(f)
	items := []view{}
	for _, box := range pageIn(found, page, limit) {
		items = append(items, s.viewOf(box, r))
	}
	s.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{"items": items, "total": len(found), "page": page, "totalPages": pages(len(found), limit)})
	return nil
}

// foundBy are the sandboxes that f takes, in its order. It needs s.mu.
func (s *Server) foundBy(f filter) (found []*record) {
	for _, box := range s.sandboxes {
		if f.takes(box) {
			found = append(found, box)
		}
	}
	slices.SortFunc(found, f.compare)
	return found
}

func (s *Server) readFilter(q url.Values) (filter, error) {
	f := filter{
		states: q["states"], snapshots: q["snapshots"], id: q.Get("id"), name: q.Get("name"),
		sort: cmp.Or(q.Get("sort"), "createdAt"), descending: cmp.Or(q.Get("order"), "desc") == "desc", limit: 100,
	}
	if text := q.Get("labels"); text != "" && json.Unmarshal([]byte(text), &f.labels) != nil {
		return f, apiFault{http.StatusBadRequest, "Invalid labels JSON format"}
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 200 {
			return f, apiFault{http.StatusBadRequest, "limit must not be greater than 200, limit must not be less than 1"}
		}
		f.limit = n
	}
	if !slices.Contains([]string{"name", "createdAt", "lastActivityAt", "cpu", "memoryGib", "diskGib"}, f.sort) {
		return f, apiFault{http.StatusBadRequest, "sort must be one of the following values: name, cpu, memoryGib, diskGib, lastActivityAt, createdAt"}
	}
	var ok bool
	if f.afterKey, f.afterID, ok = decodeCursor(q.Get("cursor")); !ok {
		return f, apiFault{http.StatusBadRequest, "Invalid cursor"}
	}
	var err error
	f.narrow, err = s.narrowing(q)
	return f, err
}

func (f filter) takes(r *record) bool {
	for name, value := range f.labels {
		if have, ok := r.Labels[name]; !ok || have != value {
			return false
		}
	}
	for _, fits := range f.narrow {
		if !fits(r) {
			return false
		}
	}
	if r.State == destroying && !slices.Contains(f.states, destroying) {
		return false
	}
	return (len(f.states) == 0 || slices.Contains(f.states, r.State)) &&
		(len(f.snapshots) == 0 || slices.Contains(f.snapshots, r.Snapshot)) &&
		strings.HasPrefix(r.ID, f.id) && strings.HasPrefix(r.Name, f.name) &&
		(f.afterID == "" || f.order(f.key(r), r.ID, f.afterKey, f.afterID) > 0)
}

func (f filter) key(r *record) string {
	switch f.sort {
	case "name":
		return r.Name
	case "lastActivityAt":
		return r.Activity.UTC().Format("2006-01-02T15:04:05.000000000Z")
	case "createdAt":
		return r.Created.UTC().Format("2006-01-02T15:04:05.000000000Z")
	default: // all sandboxes are of one size
		return ""
	}
}

func (f filter) compare(a, b *record) int { return f.order(f.key(a), a.ID, f.key(b), b.ID) }

func (f filter) order(keyA, idA, keyB, idB string) int {
	c := cmp.Or(cmp.Compare(keyA, keyB), cmp.Compare(idA, idB))
	if f.descending {
		return -c
	}
	return c
}

func encodeCursor(key, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(id + " " + key))
}

func decodeCursor(text string) (key, id string, ok bool) {
	if text == "" {
		return "", "", true
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	id, key, found := strings.Cut(string(b), " ")
	return key, id, err == nil && found
}

// pageOf reads which page of how many items is asked for.
func pageOf(q url.Values) (page, limit int, err error) {
	page, limit = 1, 100
	for name, into := range map[string]*int{"page": &page, "limit": &limit} {
		if text := q.Get(name); text != "" {
			if *into, err = strconv.Atoi(text); err != nil || *into < 1 {
				return 0, 0, apiFault{http.StatusBadRequest, name + " must not be less than 1"}
			}
		}
	}
	if limit > 200 {
		return 0, 0, apiFault{http.StatusBadRequest, "limit must not be greater than 200"}
	}
	return page, limit, nil
}

// pageIn is one page of all.
func pageIn[T any](all []T, page, limit int) []T {
	if page > len(all) { // also keeps the product below small
		return nil
	}
	from := min((page-1)*limit, len(all))
	return all[from:min(from+limit, len(all))]
}

func pages(total, limit int) int { return (total + limit - 1) / limit }
