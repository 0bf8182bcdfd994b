package localdaytona_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/localdaytona"
)

// fuzzVariable names the folder of everything that a fuzzing process and its workers start. A worker may be killed by
// the engine, so the process that made the folder ends what is left in it.
const fuzzVariable = "SANDPIPER_TEST_FUZZ"

// fuzzFolder is a new folder below the one of the whole fuzzing.
func fuzzFolder(f *testing.F) string {
	f.Helper()
	dir, err := os.MkdirTemp(os.Getenv(fuzzVariable), "fuzz")
	if err != nil {
		f.Fatal(err)
	}
	return dir
}

// withFuzzFolder runs a process's tests with a folder for fuzzing, and leaves nothing in it.
func withFuzzFolder(run func() int) int {
	if os.Getenv(fuzzVariable) != "" {
		return run() // a worker
	}
	dir, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		panic(err)
	}
	os.Setenv(fuzzVariable, dir)
	defer os.RemoveAll(dir)
	code := run()
	left, _ := filepath.Glob(filepath.Join(dir, "*", "state"))
	for _, state := range left {
		if n, err := localdaytona.StopAll(state); err != nil {
			fmt.Fprintln(os.Stderr, "fuzzing left", n, "sandboxes:", err)
			code = 1
		}
	}
	return code
}

const (
	upgrade = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	oneFile = "--x\r\nContent-Disposition: form-data; name=\"files[0].path\"\r\n\r\n%s\r\n--x\r\nContent-Disposition: form-data; name=\"files[0].file\"; filename=\"f\"\r\n\r\ndata\r\n--x--\r\n"
	inForm  = "Content-Type: multipart/form-data; boundary=x"
)

// fuzzSeeds are method, target, headers and body of one request a route or more. BOX, CMD and OUT stand for a
// sandbox, a command of its session "s", and the folder around everything.
var fuzzSeeds = [][4]string{
	{"GET", "/api/health", "", ""},
	{"GET", "/api/config", "Host: x", ""},
	{"GET", "/api/api-keys/current", "Authorization: Bearer wrong", ""},
	{"GET", "/api/regions", "", ""},
	{"GET", "/api/snapshots/sandpiper", "", ""},
	{"GET", "/api/snapshots?page=2&limit=1&name=s&sort=name&order=asc", "", ""},
	{"POST", "/api/snapshots", "", `{"name":"n","imageName":"sandpiper:local","entrypoint":["a"]}`},
	{"POST", "/api/snapshots", "", `{"name":"d","buildInfo":{"dockerfileContent":"FROM sandpiper:local"}}`},
	{"DELETE", "/api/snapshots/00000000-0000-4000-8000-000000000003", "", ""},
	{"POST", "/api/snapshots/00000000-0000-4000-8000-000000000003/activate", "", ""},
	{"POST", "/api/snapshots/00000000-0000-4000-8000-000000000003/deactivate", "", ""},
	{"GET", `/api/sandbox/paginated?page=1&limit=2&labels={"c":"d"}&minCpu=1&isPublic=false&createdAtAfter=2001-01-01T00:00:00Z`, "", ""},
	{"GET", "/api/nothing", "", ""},
	{"POST", "/api/sandbox", "Content-Type: application/json", `{"name":"n","env":{"A":"b"},"labels":{"c":"d"},"autoStopInterval":1}`},
	{"POST", "/api/sandbox", "", `{"name":7,"env":[],"cpu":1,"volumes":[{"volumeId":"v"}]}`},
	{"GET", `/api/sandbox?labels={"c":"d"}&limit=2&sort=name&order=asc&cursor=YSBi&states=started`, "", ""},
	{"GET", "/api/sandbox/BOX", "", ""},
	{"DELETE", "/api/sandbox/BOX", "", ""},
	{"POST", "/api/sandbox/BOX/start", "", ""},
	{"POST", "/api/sandbox/BOX/stop?force=true", "", ""},
	{"POST", "/api/sandbox/BOX/last-activity", "", ""},
	{"POST", "/api/sandbox/BOX/autostop/5", "", ""},
	{"POST", "/api/sandbox/BOX/autoarchive/0", "", ""},
	{"POST", "/api/sandbox/BOX/autodelete/-9", "", ""},
	{"POST", "/api/sandbox/BOX/public/true", "", ""},
	{"PUT", "/api/sandbox/BOX/labels", "", `{"labels":{"a":"b"}}`},
	{"GET", "/api/sandbox/BOX/toolbox-proxy-url", "", ""},
	{"GET", "/toolbox/BOX/version", "", ""},
	{"GET", "/toolbox/none/version", "", ""},
	{"POST", "/toolbox/BOX/.sandpiper/stop", "", ""},
	{"POST", "/toolbox/BOX/process/session", "", `{"sessionId":"t"}`},
	{"GET", "/toolbox/BOX/process/session", "", ""},
	{"GET", "/toolbox/BOX/process/session/s", "", ""},
	{"GET", "/toolbox/BOX/process/session/entrypoint/logs", "", ""},
	{"DELETE", "/toolbox/BOX/process/session/s", "", ""},
	{"POST", "/toolbox/BOX/process/session/s/exec", "", `{"command":"echo hi","runAsync":true}`},
	{"GET", "/toolbox/BOX/process/session/s/command/CMD", "", ""},
	{"GET", "/toolbox/BOX/process/session/s/command/CMD/logs", "X-Daytona-SDK-Version: 0.205.1", ""},
	{"GET", "/toolbox/BOX/process/session/s/command/CMD/logs?follow=true", upgrade, "\x81\x85\x01\x02\x03\x04hello\x88\x80\x00\x00\x00\x00"},
	{"GET", "/toolbox/BOX/process/session/s/command/CMD/logs?follow=true", "", ""},
	{"POST", "/toolbox/BOX/process/session/s/command/CMD/input", "", `{"data":"x\n"}`},
	{"POST", "/toolbox/BOX/process/execute", "", `{"command":"cat \"$A\"; exit 3","cwd":"/tmp","envs":{"A":"/dev/null"},"timeout":1}`},
	{"GET", "/toolbox/BOX/files?path=..", "", ""},
	{"GET", "/toolbox/BOX/files?path=/home/daytona&depth=9", "", ""},
	{"GET", "/toolbox/BOX/files/info?path=/home/daytona/tool.sh", "", ""},
	{"DELETE", "/toolbox/BOX/files?path=OUT/beside&recursive=true", "", ""},
	{"DELETE", "/toolbox/BOX/files?path=../../../beside/kept", "", ""},
	{"POST", "/toolbox/BOX/files/folder?path=/home/daytona/../../made&mode=0755", "", ""},
	{"POST", "/toolbox/BOX/files/move?source=/home/daytona/tool.sh&destination=OUT/beside/kept", "", ""},
	{"POST", "/toolbox/BOX/files/move?source=OUT/beside&destination=here", "", ""},
	{"POST", "/toolbox/BOX/files/upload?path=a/b", inForm, fmt.Sprintf(oneFile, "p")},
	{"POST", "/toolbox/BOX/files/upload-v2?path=OUT/made", "", "raw"},
	{"POST", "/toolbox/BOX/files/bulk-upload", inForm, fmt.Sprintf(oneFile, "OUT/beside/kept")},
	{"GET", "/toolbox/BOX/files/download?path=tool.sh", "Range: bytes=1-2", ""},
	{"POST", "/toolbox/BOX/files/bulk-download", "", `{"paths":["/home/daytona/tool.sh","OUT/beside/kept"]}`},
	{"PUT", "/toolbox/BOX//%2e%2e/%00", "", "x"},
}

// FuzzServer sends any request that net/http lets through to a whole server with sandboxes, in each form that works
// here. Nothing panics, in the server or in a sandbox's daemon, nothing is our fault, and nothing is written beside
// the sandbox's own folders. Where nothing isolates, no command is run: it would be one of this machine's.
func FuzzServer(f *testing.F) {
	houses := fuzzHouses(f)
	for _, s := range fuzzSeeds {
		f.Add(s[0], s[1], s[2], []byte(s[3]))
	}
	f.Fuzz(func(t *testing.T, method, target, headers string, body []byte) {
		for _, h := range houses {
			h.ready(t)
			raw := h.request(method, target, headers, body)
			if raw == nil || !h.contained && mayRun(raw) {
				continue
			}
			h.send(t, raw)
			h.check(t, raw)
		}
	})
}

// fuzzHouse is a house with one sandbox for requests to fall upon.
type fuzzHouse struct {
	*house
	out       string // the folder around the state
	contained bool
	faults    *lockedBuffer // what net/http has to say: panics

	box  box
	cmd  string
	used int
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func fuzzHouses(f *testing.F) (houses []*fuzzHouse) {
	for _, form := range kinds() {
		out := fuzzFolder(f)
		o := options(filepath.Join(out, "state"))
		o.Isolation = form
		s, err := localdaytona.New(o)
		if err != nil {
			f.Fatal(err)
		}
		h := &fuzzHouse{out: out, contained: form != "none", faults: &lockedBuffer{}}
		web := httptest.NewUnstartedServer(s.Handler())
		web.Config.ErrorLog = log.New(h.faults, "", 0)
		web.Start()
		h.house = &house{client{web.URL, testKey, ""}, s, o.Dir}
		f.Cleanup(func() {
			web.CloseClientConnections()
			web.Close()
			if err := s.StopAll(context.Background()); err != nil {
				f.Errorf("StopAll: %v", err)
			}
			os.RemoveAll(out)
		})
		for _, dir := range []string{filepath.Join(out, "beside"), filepath.Join(o.Dir, "sandboxes", "beside")} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				f.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "kept"), []byte("kept"), 0o644); err != nil {
				f.Fatal(err)
			}
		}
		houses = append(houses, h)
	}
	return houses
}

// renewEvery bounds what requests can pile up in a sandbox.
const renewEvery = 200

// ready gives the house its sandbox, a session and a command again, if they are gone or much used, and removes others.
func (h *fuzzHouse) ready(t *testing.T) {
	t.Helper()
	h.used++
	if h.box.id != "" && h.used < renewEvery && h.call(t, "GET", h.box.toolbox("/process/session/s/command/"+h.cmd), nil).status == 200 {
		return
	}
	for _, item := range h.must(t, 200, "GET", "/api/sandbox?limit=200", nil).json(t)["items"].([]any) {
		h.call(t, "DELETE", "/api/sandbox/"+item.(object)["id"].(string), nil)
	}
	for _, item := range h.must(t, 200, "GET", "/api/snapshots?limit=200", nil).json(t)["items"].([]any) {
		h.call(t, "DELETE", "/api/snapshots/"+item.(object)["id"].(string), nil) // 403 for the general one
	}
	h.box, h.used = h.create(t, nil), 0
	h.box.session(t, "s")
	h.cmd = h.box.execAsync(t, "s", "echo hi")
}

// request is the raw text of a request, or nil for one that net/http refuses by itself.
func (h *fuzzHouse) request(method, target, headers string, body []byte) []byte {
	var b bytes.Buffer
	lower := strings.ToLower(headers)
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	for line := range strings.SplitSeq(headers, "\n") {
		if line != "" {
			b.WriteString(line + "\r\n")
		}
	}
	if !strings.Contains(lower, "host:") {
		b.WriteString("Host: localhost\r\n")
	}
	if !strings.Contains(lower, "authorization") {
		b.WriteString("Authorization: Bearer " + testKey + "\r\n")
	}
	names := strings.NewReplacer("BOX", h.box.id, "CMD", h.cmd, "OUT", h.out)
	body = []byte(names.Replace(string(body)))
	if len(body) > 0 && !strings.Contains(lower, "content-length") && !strings.Contains(lower, "upgrade") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	raw := append([]byte(names.Replace(b.String())+"\r\n"), body...)
	if _, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw))); err != nil {
		return nil
	}
	return raw
}

// mayRun reports whether a request could start a command, however its path is written.
func mayRun(raw []byte) bool {
	text := string(raw)
	for {
		plain, err := url.PathUnescape(text)
		if err != nil {
			return strings.Contains(text, "%") || strings.Contains(strings.ToLower(text), "exec")
		}
		if plain == text {
			return strings.Contains(strings.ToLower(text), "exec")
		}
		text = plain
	}
}

// patience is how long a client waits for an answer; then it leaves, as clients do.
const patience = 100 * time.Millisecond

// send sends a request on a connection of its own and looks at the answer.
func (h *fuzzHouse) send(t *testing.T, raw []byte) {
	t.Helper()
	wire, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	_ = wire.SetDeadline(time.Now().Add(patience))
	_, _ = wire.Write(raw) // it may have answered and closed before the end
	r, err := http.ReadResponse(bufio.NewReader(wire), nil)
	if err != nil {
		return
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if r.StatusCode >= 500 {
		t.Errorf("our fault: %d %q to %q", r.StatusCode, body, raw)
	}
	kind := r.Header.Get("Content-Type")
	if r.StatusCode >= 400 && strings.HasPrefix(kind, "application/json") && len(body) < 1<<16 && !json.Valid(body) {
		t.Errorf("%d %q to %q", r.StatusCode, body, raw)
	}
}

// check finds panics, and what is written where it should not be.
func (h *fuzzHouse) check(t *testing.T, raw []byte) {
	t.Helper()
	if said := h.faults.String(); strings.Contains(said, "panic") {
		t.Errorf("%q: %s", raw, said)
	}
	logs, _ := filepath.Glob(filepath.Join(h.dir, "sandboxes", "*", "daemon.log"))
	for _, path := range logs {
		if b, _ := os.ReadFile(path); bytes.Contains(b, []byte("panic")) || bytes.Contains(b, []byte("fatal error")) {
			t.Errorf("%q: a daemon: %s", raw, b)
		}
	}
	h.names(t, h.out, raw, "beside", "state")
	h.names(t, h.dir, raw, "sandboxes", "etc", "snapshots.json", "snapshots.json.next")
	for _, dir := range []string{filepath.Join(h.out, "beside"), filepath.Join(h.dir, "sandboxes", "beside")} {
		h.names(t, dir, raw, "kept")
		if b, err := os.ReadFile(filepath.Join(dir, "kept")); string(b) != "kept" {
			t.Errorf("%q: a file beside the sandbox holds %q, %v", raw, b, err)
		}
	}
	boxes, _ := os.ReadDir(filepath.Join(h.dir, "sandboxes"))
	for _, b := range boxes {
		if b.Name() != "beside" {
			h.names(t, filepath.Join(h.dir, "sandboxes", b.Name()), raw,
				"home", "tmp", "sessions", "bin", "daemon.log", "daemon.sock", "record.json", "record.json.next")
		}
	}
}

// names checks that dir holds nothing but these.
func (h *fuzzHouse) names(t *testing.T, dir string, raw []byte, allowed ...string) {
	t.Helper()
	found, _ := os.ReadDir(dir) // a sandbox may just be going
	for _, e := range found {
		if !slices.Contains(allowed, e.Name()) {
			t.Errorf("%q: %s holds %s", raw, dir, e.Name())
		}
	}
}
