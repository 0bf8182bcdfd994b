package chaos

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// launch is one start of the command, as it told the record itself.
type launch struct {
	run    string
	self   string
	prompt string // SHA-256
	at     time.Time
	asked  bool
	answer *string // nil: it did not come to its end
}

// record is what was launched, kept outside of the product.
type record struct {
	*httptest.Server
	mu       sync.Mutex
	launches map[string][]*launch // job's label → its launches
	heads    int                  // looks of preflight
}

func newRecord(t testing.TB) *record {
	t.Helper()
	r := &record{launches: map[string][]*launch{}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.hear))
	t.Cleanup(r.Close)
	return r
}

func (r *record) hear(w http.ResponseWriter, q *http.Request) {
	var told struct {
		Job, Run, Self, Prompt, Answer string
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.Method != http.MethodPost || json.NewDecoder(q.Body).Decode(&told) != nil {
		r.heads++
		return
	}
	all := r.launches[told.Job]
	// The same process says each thing once, but its post may be repeated when the answer is lost.
	i := slices.IndexFunc(all, func(l *launch) bool { return l.self == told.Self })
	if i < 0 {
		all = append(all, &launch{run: told.Run, self: told.Self, prompt: told.Prompt, at: time.Now()})
		i = len(all) - 1
	}
	switch q.URL.Path {
	case "/record/asked":
		all[i].asked = true
	case "/record/answered":
		all[i].answer = &told.Answer
	}
	r.launches[told.Job] = all
	_ = json.NewEncoder(w).Encode(map[string]int{"launch": i + 1}) // it asks again
}

// of are the launches of a job.
func (r *record) of(label string) (all []launch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.launches[label] {
		all = append(all, *l)
	}
	return all
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
