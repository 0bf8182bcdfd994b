package localdaytona_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/localdaytona"
)

const testKey = "a-key-of-the-tests"

func TestMain(m *testing.M) {
	if localdaytona.IsDaemon() {
		os.Exit(localdaytona.DaemonMain())
	}
	if dir := os.Getenv(serverVariable); dir != "" {
		os.Exit(serverMain(dir))
	}
	code := withFuzzFolder(m.Run)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	if left := leftOver(made.ids...); len(left) > 0 && code == 0 {
		fmt.Fprintln(os.Stderr, "processes are left:", left)
		code = 1
	}
	os.Exit(code)
}

// made are the ids of all sandboxes of the tests.
var made struct {
	sync.Mutex
	ids []string
}

// leftOver finds processes that have the id of one of these sandboxes in their command line or environment.
func leftOver(ids ...string) (found []string) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		line, _ := os.ReadFile(proc + "/cmdline") // both are empty for a zombie
		env, _ := os.ReadFile(proc + "/environ")
		for _, id := range ids {
			if strings.Contains(string(line)+string(env), id) {
				found = append(found, proc+" "+strings.ReplaceAll(string(line), "\x00", " "))
			}
		}
	}
	return found
}

// forms are the ways to run sandboxes on this machine; every test of what a form decides is run in all of them.
var forms = sync.OnceValue(func() []string {
	found := []string{"none"}
	for _, form := range []string{"bubblewrap", "bubblewrap with a user namespace"} {
		dir, err := os.MkdirTemp("", "forms")
		if err != nil {
			panic(err)
		}
		o := options(dir)
		o.Isolation = form
		if _, err := localdaytona.New(o); err == nil {
			found = append(found, form)
		}
		os.RemoveAll(dir)
	}
	return found
})

// kinds are the forms that a daemon can tell from one another: a process of the machine, and the first one of a world of
// its own. How that world was made is nothing that it sees, so what a daemon answers is asked once in each kind.
func kinds() []string { return forms()[:min(2, len(forms()))] }

func eachKind(t *testing.T, test func(t *testing.T, h *house)) { inForms(t, kinds, test) }

func eachForm(t *testing.T, test func(t *testing.T, h *house)) { inForms(t, forms, test) }

func inForms(t *testing.T, forms func() []string, test func(t *testing.T, h *house)) {
	t.Parallel()
	for _, form := range forms() {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, func(o *localdaytona.Options) { o.Isolation = form }))
		})
	}
}

// house is a server and a client of it.
type house struct {
	client
	server *localdaytona.Server
	dir    string
}

func options(dir string) localdaytona.Options {
	return localdaytona.Options{
		Dir: dir, Key: testKey, Log: slog.New(slog.DiscardHandler),
		Workspace: []localdaytona.WorkspaceEntry{
			{Path: "workspace/.system/logs", Dir: true},
			{Path: "workspace/CLAUDE.md", Content: []byte("be brief\n")},
			{Path: "tool.sh", Content: []byte("#!/bin/sh\necho tool\n"), Mode: 0o755},
		},
	}
}

// open starts a server; at the test's end every sandbox is ended.
func open(t testing.TB, change func(*localdaytona.Options)) *house {
	t.Helper()
	o := options(t.TempDir())
	if change != nil {
		change(&o)
	}
	s, err := localdaytona.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		if err := s.StopAll(context.Background()); err != nil {
			t.Errorf("StopAll: %v", err)
		}
		if n, err := localdaytona.StopAll(o.Dir); n != 0 || err != nil {
			t.Errorf("StopAll(dir) after StopAll = %d, %v, want nothing left", n, err)
		}
		checkLogs(t, o.Dir)
	})
	return &house{client{web.URL, testKey, "0.205.1"}, s, o.Dir}
}

// checkLogs fails the test for a daemon that crashed or in which the race detector found something.
func checkLogs(t testing.TB, dir string) {
	t.Helper()
	logs, _ := filepath.Glob(filepath.Join(dir, "sandboxes", "*", "daemon.log"))
	for _, path := range logs {
		if b, _ := os.ReadFile(path); bytes.Contains(b, []byte("DATA RACE")) || bytes.Contains(b, []byte("panic")) {
			t.Errorf("a daemon's log:\n%s", b)
		}
	}
}

// client speaks the protocol, without any knowledge of the server's types.
type client struct{ url, key, version string }

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("answer %d is not a JSON object: %s", a.status, a.body)
	}
	return v
}

func (c client) request(t testing.TB, method, path string, header http.Header, body io.Reader) answer {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, c.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+c.key)
	if c.version != "" {
		q.Header.Set("X-Daytona-SDK-Version", c.version)
	}
	for name, values := range header {
		q.Header[name] = values
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%s %s: read: %v", method, path, err)
	}
	return answer{r.StatusCode, r.Header, b}
}

// call sends body as JSON; nil means none.
func (c client) call(t testing.TB, method, path string, body any) answer {
	t.Helper()
	if body == nil {
		return c.request(t, method, path, nil, nil)
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return c.request(t, method, path, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(b))
}

// try is call from another goroutine than the test's.
func (c client) try(method, path string, body any) (status int, err error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	q, err := http.NewRequest(method, c.url+path, bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	q.Header.Set("Authorization", "Bearer "+c.key)
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return r.StatusCode, err
}

// must is call with the status that it has to have.
func (c client) must(t testing.TB, status int, method, path string, body any) answer {
	t.Helper()
	a := c.call(t, method, path, body)
	if a.status != status {
		t.Fatalf("%s %s = %d %s, want %d", method, path, a.status, a.body, status)
	}
	return a
}

type object = map[string]any

// box is a sandbox as its client knows it.
type box struct {
	client
	id string
}

// create makes a sandbox and waits until it is started.
func (c client) create(t testing.TB, body object) box {
	t.Helper()
	if body == nil {
		body = object{}
	}
	id := c.must(t, 200, "POST", "/api/sandbox", body).json(t)["id"].(string)
	made.Lock()
	made.ids = append(made.ids, id)
	made.Unlock()
	b := box{c, id}
	b.waitFor(t, "started")
	return b
}

func (b box) api(rest string) string     { return "/api/sandbox/" + b.id + rest }
func (b box) toolbox(rest string) string { return "/toolbox/" + b.id + rest }

func (b box) waitFor(t testing.TB, state string) {
	t.Helper()
	var got any
	eventually(t, func() bool {
		got = b.must(t, 200, "GET", b.api(""), nil).json(t)["state"]
		return got == state
	}, func() string { return "state is " + got.(string) + ", want " + state })
}

// eventually polls what happens in another process.
func eventually(t testing.TB, done func() bool, what func() string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(2 * time.Minute); !done(); <-tick.C {
		if time.Now().After(until) {
			t.Fatal(what())
		}
	}
}

// run executes one command and returns its output; it must succeed.
func (b box) run(t testing.TB, command string) string {
	t.Helper()
	v := b.must(t, 200, "POST", b.toolbox("/process/execute"), object{"command": command}).json(t)
	if v["exitCode"] != 0.0 {
		t.Fatalf("%s: exit code %v: %v", command, v["exitCode"], v["result"])
	}
	return v["result"].(string)
}

func (b box) session(t testing.TB, id string) {
	t.Helper()
	b.must(t, 201, "POST", b.toolbox("/process/session"), object{"sessionId": id})
}

func (b box) exec(t testing.TB, session, command string) map[string]any {
	t.Helper()
	return b.must(t, 200, "POST", b.toolbox("/process/session/"+session+"/exec"), object{"command": command}).json(t)
}

func (b box) execAsync(t testing.TB, session, command string) (cmdID string) {
	t.Helper()
	v := b.must(t, 202, "POST", b.toolbox("/process/session/"+session+"/exec"), object{"command": command, "runAsync": true}).json(t)
	return v["cmdId"].(string)
}

// result waits for an asynchronous command.
func (b box) result(t testing.TB, session, cmdID string) (code int, stdout string) {
	t.Helper()
	path := b.toolbox("/process/session/" + session + "/command/" + cmdID)
	eventually(t, func() bool {
		v, ok := b.must(t, 200, "GET", path, nil).json(t)["exitCode"]
		if ok {
			code = int(v.(float64))
		}
		return ok
	}, func() string { return "command " + cmdID + " has no exit code" })
	return code, b.must(t, 200, "GET", path+"/logs", nil).json(t)["stdout"].(string)
}

func claudeScript(t testing.TB, text string) string {
	t.Helper()
	path := t.TempDir() + "/some other name"
	if err := os.WriteFile(path, []byte(cmp.Or(text, "#!/bin/sh\necho \"claude of the tests: $*\"\n")), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func lines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }

func kilobytes(t testing.TB, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
