package daytona_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/localdaytona"
)

// local is a client of the local Daytona, which speaks the protocol over HTTP like any other.
func local(t *testing.T) *daytona.Client {
	t.Helper()
	server, err := localdaytona.New(localdaytona.Options{Dir: t.TempDir(), Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	c := daytona.New(daytona.Options{URL: web.URL + "/api", Key: key})
	t.Cleanup(func() {
		c.Close()
		if err := server.StopAll(context.Background()); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return c
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestTheLifeOfASandbox(t *testing.T) {
	c := local(t)
	labels := map[string]string{"installation": "a b&c"}
	create := daytona.Create{Name: "sbx_life", Labels: labels, Env: map[string]string{"GREETING": "hello"}, AutoStopMinutes: 390, AutoDeleteMinutes: 1440}
	sb := must(c.Create(t.Context(), create))(t)
	again := must(c.Create(t.Context(), create))(t)
	if sb.Name != "sbx_life" || sb.State != daytona.StateStarted || again.ID != sb.ID || sb.Labels["installation"] != "a b&c" {
		t.Errorf("%+v, then %+v", sb, again)
	}
	if all := must(c.List(t.Context(), labels))(t); len(all) != 1 || all[0].ID != sb.ID {
		t.Errorf("List = %+v", all)
	}
	if all := must(c.List(t.Context(), map[string]string{"installation": "b"}))(t); len(all) != 0 {
		t.Errorf("List of another installation = %+v", all)
	}
	if err := errors.Join(c.Touch(t.Context(), sb.ID), c.Stop(t.Context(), sb.ID, true)); err != nil {
		t.Fatal(err)
	}
	sb = awaitState(t, c, sb.ID, daytona.StateStopped)
	if _, err := c.Toolbox(daytona.Sandbox{ID: sb.ID, ToolboxURL: again.ToolboxURL}).Home(t.Context()); !errors.Is(err, daytona.ErrNotRunning) {
		t.Errorf("the toolbox of a stopped sandbox: %v", err)
	}
	if sb = must(c.Start(t.Context(), sb.ID))(t); sb.State != daytona.StateStarted {
		t.Errorf("%+v", sb)
	}
	if done := must(c.Toolbox(sb).Execute(t.Context(), daytona.Execute{Command: `echo $GREETING`}))(t); done.Output != "hello\n" {
		t.Errorf("%+v", done)
	}
	if err := c.Delete(t.Context(), sb.ID); err != nil {
		t.Error(err)
	}
	deadline := time.After(2 * time.Minute)
	for err := error(nil); !errors.Is(err, daytona.ErrNotFound); _, err = c.Get(t.Context(), sb.ID) {
		select {
		case <-deadline:
			t.Fatalf("still there: %v", err)
		default:
		}
	}
	if err := c.Delete(t.Context(), sb.ID); err != nil {
		t.Errorf("again: %v", err)
	}
}

// awaitState asks until a sandbox is in a state; each question takes its time.
func awaitState(t *testing.T, c *daytona.Client, id, state string) daytona.Sandbox {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		sb := must(c.Get(t.Context(), id))(t)
		if sb.State == state {
			return sb
		}
		if time.Now().After(deadline) {
			t.Fatalf("state %s, want %s", sb.State, state)
		}
	}
}

func TestTheInsideOfASandbox(t *testing.T) {
	c := local(t)
	b := c.Toolbox(must(c.Create(t.Context(), daytona.Create{Name: "sbx_inside"}))(t))
	home := must(b.Home(t.Context()))(t)

	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	content := bytes.Repeat(every, 5000)
	if err := b.Upload(t.Context(), daytona.File{Path: home + "/a/b c", Content: content}, daytona.File{Path: home + "/empty"}); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int64{{0, -1}, {100, 300}, {1279990, -1}, {1279990, 1290000}, {1280000, 1280001}} {
		to := r[1]
		if to < 0 || to > int64(len(content)) {
			to = int64(len(content))
		}
		if got := must(b.Download(t.Context(), home+"/a/b c", r[0], r[1]))(t); !bytes.Equal(got, content[min(r[0], to):to]) {
			t.Errorf("%v: %d bytes", r, len(got))
		}
	}
	files, err := b.BulkDownload(t.Context(), home+"/a/b c", home+"/none", home+"/empty")
	if !errors.Is(err, daytona.ErrNotFound) || len(files) != 2 || !bytes.Equal(files[0].Content, content) || len(files[1].Content) != 0 {
		t.Errorf("%d files, %v", len(files), err)
	}
	if entries := must(b.List(t.Context(), home+"/a"))(t); len(entries) != 1 || entries[0].Name != "b c" || entries[0].Size != 1280000 {
		t.Errorf("%+v", entries)
	}
	if _, err := b.Execute(t.Context(), daytona.Execute{Command: "sleep 1000", Timeout: time.Second}); !errors.Is(err, daytona.ErrTimeout) {
		t.Errorf("a long command: %v", err)
	}
	sessions(t, b)
}

func sessions(t *testing.T, b *daytona.Toolbox) {
	if _, err := b.Exec(t.Context(), "s", "true"); !errors.Is(err, daytona.ErrSessionGone) {
		t.Errorf("without a session: %v", err)
	}
	if err := b.CreateSession(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if err := b.CreateSession(t.Context(), "s"); !errors.Is(err, daytona.ErrConflict) {
		t.Errorf("a second one: %v", err)
	}
	must(b.Exec(t.Context(), "s", "cd /; X=5"))(t)
	if e := must(b.Exec(t.Context(), "s", "echo $X $PWD; echo oops >&2; (exit 4)"))(t); e.Stdout != "5 /\n" || e.Stderr != "oops\n" || e.ExitCode != 4 {
		t.Errorf("%+v", e)
	}
	id := must(b.ExecAsync(t.Context(), "s", "echo out; echo err >&2"))(t)
	must(b.Exec(t.Context(), "s", "true"))(t) // commands of a session run one after another
	done := must(b.Command(t.Context(), "s", id))(t)
	out, errs, err := b.Logs(t.Context(), "s", id)
	if err != nil || done.ExitCode == nil || *done.ExitCode != 0 || out != "out\n" || errs != "err\n" {
		t.Errorf("%+v, %q, %q, %v", done, out, errs, err)
	}
	if s := must(b.Session(t.Context(), "s"))(t); s.ID != "s" || len(s.Commands) != 4 {
		t.Errorf("%+v", s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if e, err := b.Exec(ctx, "s", "exit 3"); err == nil && e.ExitCode != 3 { // it may as well hang, as on older platforms
		t.Errorf("%+v", e)
	}
	if _, err := b.Exec(t.Context(), "s", "true"); !errors.Is(err, daytona.ErrSessionGone) {
		t.Errorf("after its shell has ended: %v", err)
	}
	if err := b.RenewSession(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	must(b.Exec(t.Context(), "s", "true"))(t)
}
