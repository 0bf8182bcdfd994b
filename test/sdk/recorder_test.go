package sdk

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// recorder stands before the local Daytona and writes down what an SDK called and how it was answered, which the SDK
// does not tell.
type recorder struct {
	next http.Handler

	mu    sync.Mutex
	calls []string
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if strings.HasPrefix(q.URL.Path, "/api/socket.io/") { // an SDK looks for its event socket whenever it likes
		r.next.ServeHTTP(w, q)
		return
	}
	a := &answer{ResponseWriter: w}
	call := q.Method + " " + uuids.ReplaceAllString(q.URL.Path, "ID")
	a.tell = func(status int, shape string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		line := strings.TrimSpace(fmt.Sprintf("%s %d %s", call, status, shape))
		if n := len(r.calls); n == 0 || r.calls[n-1] != line { // polls are one
			r.calls = append(r.calls, line)
		}
	}
	r.next.ServeHTTP(a, q)
	a.answered("empty")
}

// since gives what was called since it was asked last.
func (r *recorder) since() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

// answer sees the status and, of an error, the body. It tells before the client can see any of it, so the header of an
// error waits for its body, which is short and written at once.
type answer struct {
	http.ResponseWriter
	tell   func(status int, shape string)
	status int
	told   bool
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	a.status = status
	if status < 400 {
		a.answered("")
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.answered(shapeOf(b))
	return a.ResponseWriter.Write(b)
}

// FlushError flushes what there is; the header of an error is not there yet.
func (a *answer) FlushError() error {
	if a.status >= 400 && !a.told {
		return nil
	}
	a.answered("")
	return http.NewResponseController(a.ResponseWriter).Flush()
}

func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.told = true
	a.tell(http.StatusSwitchingProtocols, "")
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// answered tells once, and then lets the header go.
func (a *answer) answered(shape string) {
	if a.told {
		return
	}
	a.told = true
	a.status = cmp.Or(a.status, http.StatusOK)
	if a.status < 400 {
		shape = ""
	}
	a.tell(a.status, shape)
	a.ResponseWriter.WriteHeader(a.status)
}

// shapeOf is what an error body looks like: the names of a JSON object, or the text itself.
func shapeOf(body []byte) string {
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return string(bytes.TrimSpace(body))
	}
	return "{" + strings.Join(slices.Sorted(maps.Keys(object)), ",") + "}"
}
