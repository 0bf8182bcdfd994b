package sdk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/localdaytona"
)

const (
	key  = "dtn_sdk_0123456789"
	name = "sandpiper-sdk" // of the general snapshot
)

// sdks are the packages that drive: the current name, the older name's last version, and a version of the older name
// that pages lists by number and reads logs as text (sections 2.1 and 4.1).
var sdks = []string{"@daytona/sdk", "@daytonaio/sdk", "daytonaio-sdk-0.154"}

func TestTheOfficialSDKs(t *testing.T) {
	for _, pkg := range sdks {
		t.Run(strings.ReplaceAll(pkg, "/", "_"), func(t *testing.T) {
			t.Parallel()
			d := drive(t, pkg)
			for _, s := range steps {
				t.Run(s.name, func(t *testing.T) { s.check(t, d) })
			}
			if left, ok := d.step(t); ok {
				t.Errorf("a step without an expectation: %s", left.Step)
			}
		})
	}
}

// driver is a node process that does a step when it is told to.
type driver struct {
	older    bool
	kill     func()
	in       io.Writer
	out      *bufio.Scanner
	recorder *recorder
}

// stepTime is how long one step may take: the slowest waits twice for a poll that comes once a second.
const stepTime = 30 * time.Second

// done is what a step gave.
type done struct {
	Step  string
	Got   any
	Calls []string `json:"-"`
}

func drive(t *testing.T, pkg string) *driver {
	t.Helper()
	release := filepath.Join(t.TempDir(), "release")
	server, err := localdaytona.New(localdaytona.Options{
		Dir: t.TempDir(), Key: key, Snapshot: name, Claude: patient(t, release), Log: slog.New(slog.DiscardHandler),
		Workspace: []localdaytona.WorkspaceEntry{{Path: "workspace", Dir: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{older: strings.HasSuffix(pkg, "0.154"), recorder: &recorder{next: server.Handler()}}
	web := httptest.NewServer(d.recorder)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		if err := server.StopAll(context.Background()); err != nil {
			t.Error(err)
		}
	})
	d.start(t, pkg, web.URL, release)
	return d
}

// patient is a claude that says nothing before there is a file: a build that tries it lasts until then.
func patient(t *testing.T, release string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "claude")
	text := "#!/bin/sh\nwhile [ ! -e '" + release + "' ]; do sleep 0.05; done\necho built\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func (d *driver) start(t *testing.T, pkg, url, release string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, "node", "drive.cjs")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NODE_PATH=" + modules,
		"SDK=" + pkg, "KEY=" + key, "URL=" + url + "/api", "IMAGE=" + name + ":local", "RELEASE=" + release,
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.in, d.out, d.kill = in, bufio.NewScanner(out), cancel
	d.out.Buffer(nil, 8<<20)
	t.Cleanup(func() {
		_ = in.Close() // it ends then
		err := cmd.Wait()
		cancel()
		if err != nil || t.Failed() {
			t.Logf("node ended with %v: %s", err, &said)
		}
	})
}

// step lets the driver do its next step; false means that there is none.
func (d *driver) step(t *testing.T) (done, bool) {
	t.Helper()
	if _, err := fmt.Fprintln(d.in); err != nil {
		return done{}, false
	}
	late := time.AfterFunc(stepTime, d.kill)
	defer late.Stop()
	for d.out.Scan() {
		var s done
		if json.Unmarshal(d.out.Bytes(), &s) == nil && s.Step != "" { // an SDK may print a warning
			s.Calls = d.recorder.since()
			return s, true
		}
	}
	return done{}, false
}

func (s step) check(t *testing.T, d *driver) {
	got, ok := d.step(t)
	if !ok {
		t.Fatalf("the driver has ended; it had called\n  %s", strings.Join(d.recorder.since(), "\n  "))
	}
	if got.Step != s.name {
		t.Fatalf("the driver did %q", got.Step)
	}
	want, calls := s.want, s.calls
	if d.older && s.older != nil {
		want, calls = s.older.want, s.older.calls
	}
	if e, ok := want.(failure); ok {
		want = e.seenBy(d.older)
	}
	if !like(want, got.Got) {
		t.Errorf("§%s: it gave\n%s\nwant\n%s", s.section, asJSON(got.Got), asJSON(want))
	}
	if !follows(calls, got.Calls) {
		t.Errorf("§%s: the SDK called\n  %s\nwant\n  %s", s.section, strings.Join(got.Calls, "\n  "), strings.Join(calls, "\n  "))
	}
}

// like compares what is JSON. The text "*" in want stands for any text.
func like(want, got any) bool { return alike(viaJSON(want), viaJSON(got)) }

func alike(want, got any) bool {
	if want == "*" {
		_, text := got.(string)
		return text
	}
	w, ok := want.(map[string]any)
	if !ok {
		return reflect.DeepEqual(want, got)
	}
	g, ok := got.(map[string]any)
	if !ok || len(w) != len(g) {
		return false
	}
	for name := range w {
		if !alike(w[name], g[name]) {
			return false
		}
	}
	return true
}

func viaJSON(v any) (out any) {
	raw, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		panic(err) // the tables hold nothing but what JSON has
	}
	return out
}

func asJSON(v any) string {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// follows compares calls. One that ends in "?" may be missing; two with a "&" between them are made at once.
func follows(want, got []string) bool {
	for _, w := range want {
		call, optional := strings.CutSuffix(w, "?")
		one, other, both := strings.Cut(call, " & ")
		switch {
		case both && len(got) > 1 && (got[0] == one && got[1] == other || got[0] == other && got[1] == one):
			got = got[2:]
		case len(got) > 0 && got[0] == call:
			got = got[1:]
		case !optional:
			return false
		}
	}
	return len(got) == 0
}
