package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/dispatch"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store/storetest"
)

// wired is a recorder whose connection can be taken over, by a client that leaves at once.
type wired struct{ *httptest.ResponseRecorder }

func (w wired) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.Code = http.StatusSwitchingProtocols
	here, there := net.Pipe()
	there.Close()
	return here, bufio.NewReadWriter(bufio.NewReader(here), bufio.NewWriter(here)), nil
}

// FuzzServer sends any request that net/http lets through to a whole server over a real store. Whatever comes, it is
// answered without a panic; what is refused is refused by a problem document, and nothing is our fault.
func FuzzServer(f *testing.F) {
	s := storetest.SQLite(f)
	var log logs
	server := httpapi.New(httpapi.Deps{
		Jobs: dispatch.New(s, lost{}, dispatch.Options{}), Batches: dispatch.NewUploader(s), Reads: s, Sandboxes: s, Lanes: s, Answers: s, Relay: relay.New(s, nil, relay.Options{}),
	}, httpapi.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), CreateWait: time.Millisecond, MaxBody: 1 << 16})
	done, queued := storetest.Finished(f, s).ID, storetest.Queued(f, s).ID
	upgrade := "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	plain := "Content-Type: application/json\nIdempotency-Key: k"
	for _, seed := range [][4]string{
		{"POST", "/api/knowledge/process", plain, prompt},
		{"POST", "/api/sandbox/create", plain, `{"userId":"ann"}`},
		{"POST", "/api/jobs/" + queued + "/cancel", plain, `{"userId":"ann"}`},
		{"GET", "/api/jobs?state=queued&batchId=b&userId=ann&limit=3&cursor=", "", ""},
		{"GET", "/api/jobs/" + done + "?wait=1ms&userId=ann", "", ""},
		{"GET", "/api/jobs/" + done + "/events?after=1&limit=2", "", ""},
		{"GET", "/api/jobs/" + done + "/events", "Accept: text/event-stream\nLast-Event-ID: 2", ""},
		{"GET", "/api/sandboxes?limit=5", "Origin: http://localhost", ""},
		{"DELETE", "/api/sandboxes/sbx_1?userId=ann", "", ""},
		{"GET", "/ws?userId=ann&jobId=" + done + "&after=0", upgrade, ""},
		{"GET", "/ws?after=x", upgrade, ""},
		{"OPTIONS", "/api/jobs", "Origin: http://localhost\nAccess-Control-Request-Method: GET", ""},
		{"HEAD", "/healthz", "", ""},
		{"GET", "/readyz", "", ""},
		{"GET", "/", "Host: evil.example", ""},
		{"PUT", "/%00/../x", "", "x"},
	} {
		f.Add(seed[0], seed[1], seed[2], []byte(seed[3]))
	}
	f.Fuzz(func(t *testing.T, method, target, headers string, body []byte) {
		if r := parsed(method, target, headers, body); r != nil {
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond) // clients leave: streams and waits end
			defer stop()
			w := wired{httptest.NewRecorder()}
			server.ServeHTTP(w, r.WithContext(ctx))
			wantAnswer(t, r, w.ResponseRecorder, ctx.Err() != nil)
		}
	})
}

// parsed is a request as net/http would hand it on, or nil for what it refuses itself.
func parsed(method, target, headers string, body []byte) *http.Request {
	raw := method + " " + target + " HTTP/1.1\r\n"
	if !strings.Contains(strings.ToLower(headers), "host:") {
		raw += "Host: localhost\r\n"
	}
	for line := range strings.SplitSeq(headers, "\n") {
		if line != "" {
			raw += line + "\r\n"
		}
	}
	if len(body) > 0 && !strings.Contains(strings.ToLower(headers), "content-length") {
		raw += "Content-Length: " + itoa(int64(len(body))) + "\r\n"
	}
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(raw+"\r\n"), strings.NewReader(string(body)))))
	if err != nil {
		return nil
	}
	return r
}

// wantAnswer checks what was answered. left says that the client did not wait for it.
func wantAnswer(t *testing.T, r *http.Request, w *httptest.ResponseRecorder, left bool) {
	t.Helper()
	p := struct {
		Status int
		Code   job.Code
	}{}
	switch {
	case w.Code < 400:
		return
	case left && w.Code >= 500:
		return // the database was asked in the name of somebody who had gone
	case r.Method == http.MethodHead:
	case w.Header().Get("Content-Type") != "application/problem+json":
		t.Errorf("%s %q: %d as %q: %s", r.Method, r.RequestURI, w.Code, w.Header().Get("Content-Type"), w.Body)
	case json.Unmarshal(w.Body.Bytes(), &p) != nil || p.Status != w.Code || p.Code == "":
		t.Errorf("%s %q: %d %s", r.Method, r.RequestURI, w.Code, w.Body)
	}
	if w.Code >= 500 {
		t.Errorf("%s %q: our fault: %d %s", r.Method, r.RequestURI, w.Code, w.Body)
	}
}
