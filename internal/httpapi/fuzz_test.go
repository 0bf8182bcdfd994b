package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"sandpiper/internal/auth"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
)

// taker keeps the last submission.
type taker struct{ spec *job.Spec }

func (k *taker) Submit(_ context.Context, _ auth.Caller, spec job.Spec, _ store.Key) (job.Job, bool, error) {
	k.spec = &spec
	return job.Job{ID: "job_1"}, false, spec.Validate()
}

func (*taker) Cancel(context.Context, auth.Caller, string) (job.Job, error) {
	return job.Job{}, job.ErrNotFound
}

func (*taker) Retry(context.Context, auth.Caller, string, store.Key) (job.Job, bool, error) {
	return job.Job{}, false, job.ErrNotFound
}

// FuzzSubmission sends any body. The answer is 202 or a problem of the client's, never our fault; what is accepted
// is what another decoder reads in the body, and its text is whole.
func FuzzSubmission(f *testing.F) {
	for _, tc := range badBodies {
		if len(tc.body) < 4096 {
			f.Add([]byte(tc.body))
		}
	}
	f.Add([]byte(prompt))
	f.Add([]byte(`{"userId":"ann","input":"\ud83d\ude00","model":"opus[1m]","priority":"bulk","metadata":{"a":"b"},"sandboxId":"sbx_1"}`))
	k := &taker{}
	s := httpapi.New(httpapi.Deps{Jobs: k, Relay: relay.New(nil, nil, relay.Options{})}, httpapi.Options{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		k.spec = nil
		r := httptest.NewRequest(http.MethodPost, "/api/knowledge/process", strings.NewReader(string(body)))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "k")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		switch {
		case w.Code == http.StatusAccepted:
			var plain struct{ Input string }
			if err := json.Unmarshal(body, &plain); err != nil || k.spec == nil || plain.Input != k.spec.Input {
				t.Errorf("accepted %q as %+v (%v)", body, k.spec, err)
			}
			if !utf8.Valid(body) || strings.Contains(k.spec.Input, "\ufffd") && !strings.Contains(string(body), "\ufffd") &&
				!strings.Contains(strings.ToLower(string(body)), `\ufffd`) {
				t.Errorf("accepted text that was repaired: %q", body)
			}
		case w.Code < 400 || w.Code >= 500:
			t.Errorf("answered %d to %q: %s", w.Code, body, w.Body)
		case k.spec != nil:
			t.Errorf("submitted and refused (%d): %q", w.Code, body)
		case !json.Valid(w.Body.Bytes()):
			t.Errorf("answered %q to %q", w.Body, body)
		}
	})
}
