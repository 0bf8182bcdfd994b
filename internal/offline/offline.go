package offline

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sandpiper/internal/offline/messages"
)

// Options of New.
type Options struct {
	PerWord time.Duration // pause before each streamed word; 0 means 15 ms, below 0 none
	Most    time.Duration // all pauses of one answer together; 0 means 2 s
	MaxBody int64         // bytes of a request; 0 means 64 MiB
}

type model struct{ Options }

// New is the offline model. It answers POST …/v1/messages, streamed and whole, and POST …/v1/messages/count_tokens
// below any path, and GET and HEAD / with 200. Every key and every model name is accepted; the name is echoed.
func New(o Options) http.Handler {
	o.PerWord = cmp.Or(o.PerWord, 15*time.Millisecond)
	o.Most = cmp.Or(o.Most, 2*time.Second)
	o.MaxBody = cmp.Or(o.MaxBody, 64<<20)
	return &model{o}
}

// ServeHTTP routes by the end of the path, so that a base URL may have a path of its own.
func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	post := r.Method == http.MethodPost
	switch {
	case post && strings.HasSuffix(r.URL.Path, "/v1/messages/count_tokens"):
		m.count(w, r)
	case post && strings.HasSuffix(r.URL.Path, "/v1/messages"):
		m.answer(w, r)
	case r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		_, _ = io.WriteString(w, "This is Sandpiper's offline model, not Claude.\n")
	default:
		refuse(w, http.StatusNotFound, "not_found_error", "The offline model knows /v1/messages only.")
	}
}

func (m *model) count(w http.ResponseWriter, r *http.Request) {
	body, ok := m.read(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"input_tokens":%d}`, tokens(len(body)))
}

func (m *model) answer(w http.ResponseWriter, r *http.Request) {
	body, ok := m.read(w, r)
	if !ok {
		return
	}
	asked, err := messages.Parse(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request_error", err.Error())
		return
	}
	text := Answer(asked.Prompts())
	reply := messages.Reply{
		ID: "msg_offline_" + rand.Text(), Model: asked.Model, StopReason: "end_turn",
		Blocks: []messages.Block{{Type: "text", Text: text}},
		Usage:  messages.Usage{InputTokens: tokens(len(body)), OutputTokens: tokens(len(text))},
	}
	if !asked.Stream {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(reply.JSON())
		return
	}
	m.stream(w, r, reply)
}

// stream sends the answer word by word. It ends early when the caller goes, and nobody is left to tell.
func (m *model) stream(w http.ResponseWriter, r *http.Request, reply messages.Reply) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	frames := reply.Frames(messages.Words)
	pause := min(m.PerWord, m.Most/time.Duration(len(frames)))
	control := http.NewResponseController(w)
	for _, f := range frames {
		if f.Event == "content_block_delta" && !wait(r.Context(), pause) {
			return
		}
		if _, err := w.Write(f.Bytes()); err != nil {
			return
		}
		if control.Flush() != nil {
			return
		}
	}
}

// read takes the whole body; false when it has already refused.
func (m *model) read(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, m.MaxBody))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "request_too_large", err.Error())
		return nil, false
	}
	return body, true
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(messages.ErrorJSON(kind, message))
}

// tokens estimates the tokens of n bytes, at least one.
func tokens(n int) int64 { return max(1, int64(n)/4) }

// wait is false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
