package localdaytona_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/localdaytona"
)

type localdaytonaOptions = localdaytona.Options

func TestStopAndStart(t *testing.T) {
	eachForm(t, func(t *testing.T, h *house) {
		b := h.create(t, object{"env": object{"SECRET": "kept"}})
		b.session(t, "s")
		b.exec(t, "s", "echo kept >file; (setsid sleep 1000 >/dev/null 2>&1 &)")
		v := b.must(t, 200, "POST", b.api("/stop"), nil).json(t)
		if v["state"] != "stopping" || v["desiredState"] != "stopped" {
			t.Errorf("stop answers %v %v, want stopping, stopped", v["state"], v["desiredState"])
		}
		b.waitFor(t, "stopped")
		if left := leftOver(b.id); len(left) > 0 {
			t.Errorf("after the stop there live %v", left)
		}
		a := b.must(t, 400, "GET", b.toolbox("/version"), nil)
		if want := "bad request: failed to resolve container IP after 3 attempts: no IP address found. Is the Sandbox started?"; a.json(t)["message"] != want {
			t.Errorf("the toolbox of a stopped sandbox answers %s", a.body)
		}
		if a := b.must(t, 400, "POST", b.api("/stop"), nil); a.json(t)["message"] != "Sandbox is not in a stoppable state" {
			t.Errorf("a second stop answers %s", a.body)
		}
		if v := b.must(t, 200, "POST", b.api("/start"), nil).json(t); v["state"] != "started" {
			t.Errorf("start answers %v", v["state"])
		}
		b.must(t, 200, "POST", b.api("/start"), nil) // nothing to do
		if got := b.run(t, "cat file; echo $SECRET"); got != "kept\nkept\n" {
			t.Errorf("files and environment after a start: %q", got)
		}
		b.must(t, 404, "GET", b.toolbox("/process/session/s"), nil)
		b.session(t, "s")
		b.must(t, 200, "POST", b.api("/stop?force=true"), nil)
		b.waitFor(t, "stopped")
	})
}

func TestStopKillsWhatDoesNotObey(t *testing.T) {
	eachForm(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		b.run(t, `(setsid bash -c 'trap "" TERM HUP INT; echo up >stubborn; while :; do sleep 1; done' >/dev/null 2>&1 &)`)
		eventually(t, func() bool { return b.run(t, "cat stubborn 2>/dev/null || true") != "" }, func() string { return "it did not start" })
		began := time.Now()
		b.must(t, 200, "POST", b.api("/stop"), nil)
		for _, change := range [][2]string{{"POST", "/start"}, {"POST", "/stop"}, {"DELETE", ""}} {
			if a := b.must(t, 409, change[0], b.api(change[1]), nil); a.json(t)["message"] != "Sandbox state change in progress" {
				t.Errorf("%s%s while it stops: %s", change[0], change[1], a.body)
			}
		}
		if err := h.server.StopAll(t.Context()); err != nil { // waits for what is under way
			t.Fatal(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("StopAll took %s", took)
		}
		b.waitFor(t, "stopped")
		if left := leftOver(b.id); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestDelete(t *testing.T) {
	eachForm(t, func(t *testing.T, h *house) {
		b := h.create(t, object{"name": "again"})
		b.run(t, "mkdir -p locked/in && touch locked/in/f && chmod 000 locked")
		v := b.must(t, 200, "DELETE", "/api/sandbox/again", nil).json(t)
		if v["state"] != "destroying" || v["desiredState"] != "destroyed" || !strings.HasPrefix(v["name"].(string), "DESTROYED_again_") {
			t.Errorf("delete answers %v %v %v", v["state"], v["desiredState"], v["name"])
		}
		next := h.create(t, object{"name": "again"}) // the name is free at once
		eventually(t, func() bool { return h.call(t, "GET", b.api(""), nil).status == 404 }, func() string { return "the sandbox does not go away" })
		if _, err := os.Stat(filepath.Join(h.dir, "sandboxes", b.id)); !os.IsNotExist(err) {
			t.Errorf("its folder: %v, want it gone", err)
		}
		if left := leftOver(b.id); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		next.run(t, "true")
	})
}

func TestEphemeralSandboxesAreDeletedWhenStopped(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, object{"autoDeleteInterval": 0})
	b.must(t, 200, "POST", b.api("/stop"), nil)
	eventually(t, func() bool { return h.call(t, "GET", b.api(""), nil).status == 404 }, func() string { return "it stays" })
}

func TestIntervalsAndLabels(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, nil)
	for path, want := range map[string]struct {
		key   string
		value float64
	}{
		"/autostop/7":    {"autoStopInterval", 7},
		"/autoarchive/0": {"autoArchiveInterval", 43200},
		"/autodelete/9":  {"autoDeleteInterval", 9},
		"/autodelete/-5": {"autoDeleteInterval", -1},
	} {
		if v := b.must(t, 201, "POST", b.api(path), nil).json(t); v[want.key] != want.value {
			t.Errorf("%s: %s = %v, want %v", path, want.key, v[want.key], want.value)
		}
	}
	if v := b.must(t, 201, "POST", b.api("/public/true"), nil).json(t); v["public"] != true {
		t.Errorf("public = %v", v["public"])
	}
	if v := b.must(t, 200, "PUT", b.api("/labels"), object{"labels": object{"x": "1"}}).json(t); v["labels"].(map[string]any)["x"] != "1" {
		t.Errorf("labels = %v", v["labels"])
	}
	if a := b.must(t, 201, "POST", b.api("/last-activity"), object{}); len(a.body) != 0 {
		t.Errorf("last-activity answers %q, want nothing", a.body)
	}
}

func TestAutoStop(t *testing.T) {
	h := open(t, nil)
	idle := h.create(t, object{"autoStopInterval": 10}) // minutes: what happens here takes some of them on no machine
	never := h.create(t, object{"autoStopInterval": 0})
	passing := h.create(t, object{"autoStopInterval": 10, "autoDeleteInterval": 20})
	now := time.Now()
	h.server.Turn(t.Context(), now.Add(5*time.Minute))
	for _, b := range []box{idle, never, passing} {
		if got := b.must(t, 200, "GET", b.api(""), nil).json(t)["state"]; got != "started" {
			t.Errorf("before the interval: %v", got)
		}
	}
	idle.must(t, 201, "POST", idle.api("/last-activity"), nil)
	h.server.Turn(t.Context(), now.Add(10*time.Minute)) // less than that after the activity
	passing.waitFor(t, "stopped")
	if got := idle.must(t, 200, "GET", idle.api(""), nil).json(t)["state"]; got != "started" {
		t.Errorf("fresh activity: %v, want started", got)
	}
	h.server.Turn(t.Context(), time.Now().Add(11*time.Minute))
	idle.waitFor(t, "stopped")
	never.waitFor(t, "started")
	h.server.Turn(t.Context(), time.Now().Add(21*time.Minute))
	eventually(t, func() bool { return h.call(t, "GET", passing.api(""), nil).status == 404 }, func() string { return "auto-delete did not come" })
	idle.waitFor(t, "stopped")
}

func TestAnOpenRequestIsActivity(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, object{"autoStopInterval": 1})
	answered := make(chan int, 1)
	go func() {
		status, _ := b.try("POST", b.toolbox("/process/execute"), object{"command": "echo >in; until test -e go; do sleep 0.01; done"})
		answered <- status
	}()
	eventually(t, func() bool { return b.run(t, "cat in 2>/dev/null || true") != "" }, func() string { return "the command did not start" })
	h.server.Turn(t.Context(), time.Now().Add(time.Hour))
	b.run(t, "touch go")
	if got := <-answered; got != 200 {
		t.Errorf("the open request was answered %d, want 200", got)
	}
}

func TestStopIdleLeavesTheBusy(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		busy, idle := h.create(t, nil), h.create(t, nil)
		if err := h.server.StopIdle(t.Context(), func(id string) bool { return id == busy.id }); err != nil {
			t.Fatal(err)
		}
		busy.waitFor(t, "started")
		if got := idle.must(t, 200, "GET", idle.api(""), nil).json(t)["state"]; got != "stopped" {
			t.Errorf("the idle one is %v when StopIdle returns, want stopped", got)
		}
		if n, err := localdaytona.StopAll(h.dir); n != 1 || err != nil {
			t.Errorf("StopAll(dir) = %d, %v, want 1", n, err)
		}
		busy.waitFor(t, "stopped")
	})
}

func TestASandboxThatDoesNotStartIsAnError(t *testing.T) {
	claude := claudeScript(t, "")
	t.Parallel()
	for _, form := range forms()[1:] { // without bubblewrap there is nothing that could fail so
		h := open(t, func(o *localdaytona.Options) { o.Isolation, o.Claude = form, claude })
		if err := os.Remove(claude); err != nil {
			t.Fatal(err)
		}
		a := h.must(t, 400, "POST", "/api/sandbox", object{"name": "broken"})
		if message := a.json(t)["message"].(string); !strings.HasPrefix(message, "Sandbox failed to start: ") || !strings.Contains(message, "No such file") {
			t.Errorf("create answers %q, want the reason", message)
		}
		v := h.must(t, 200, "GET", "/api/sandbox/broken", nil).json(t)
		if v["state"] != "error" || v["errorReason"] == nil {
			t.Errorf("its state is %v, reason %v", v["state"], v["errorReason"])
		}
		if a := h.must(t, 400, "POST", "/api/sandbox/broken/start", nil); a.json(t)["message"] != "Sandbox is in an errored state" {
			t.Errorf("start answers %s", a.body)
		}
		h.must(t, 200, "DELETE", "/api/sandbox/broken", nil)
		eventually(t, func() bool { return h.call(t, "GET", "/api/sandbox/"+v["id"].(string), nil).status == 404 }, func() string { return "it stays" })
	}
}

func TestDeadDaemonIsAStoppedSandbox(t *testing.T) {
	eachForm(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		b.run(t, "echo kept >file; sleep 1000 >/dev/null 2>&1 &")
		kill(t, daemonOf(t, h.dir, b.id))
		b.waitFor(t, "stopped")
		b.must(t, 200, "POST", b.api("/start"), nil)
		if left := leftOver(b.id); slices.ContainsFunc(left, func(p string) bool { return strings.Contains(p, "sleep 1000") }) {
			t.Errorf("what a dead daemon left runs beside the new one: %v", left)
		}
		if got := b.run(t, "cat file"); got != "kept\n" {
			t.Errorf("file = %q", got)
		}
	})
}

func TestTheStateIsPrivate(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, object{"env": object{"KEY": "very-secret-value"}})
	folder := filepath.Join(h.dir, "sandboxes", b.id)
	for path, want := range map[string]os.FileMode{h.dir: 0o700, folder: 0o700, filepath.Join(folder, "record.json"): 0o600} {
		if i, err := os.Stat(path); err != nil || i.Mode().Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", path, i.Mode().Perm(), err, want)
		}
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		if line, _ := os.ReadFile(path); strings.Contains(string(line), "very-secret-value") {
			t.Errorf("%s holds the secret: %q", path, line)
		}
	}
	env, _ := os.ReadFile("/proc/" + daemonOf(t, h.dir, b.id) + "/environ")
	if strings.Contains(string(env), "very-secret-value") {
		t.Error("the daemon's own environment holds the secret")
	}
}
