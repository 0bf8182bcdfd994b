package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/client"
	"sandpiper/internal/boot"
	"sandpiper/internal/config"
	"sandpiper/internal/localdaytona"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/store/storetest"
	"sandpiper/internal/telemetry"
	"sandpiper/internal/worker"
)

// key is the API key of every house here. It is no real one; nothing but a sandbox may ever show it.
const key = "sk-ant-e2e-0123456789abcdef0123456789abcdef"

func TestMain(m *testing.M) {
	boot.Helper()
	if role := os.Getenv(processVar); role != "" {
		os.Exit(runAsProcess(config.Role(role)))
	}
	flag.Parse()
	chooseEstate()
	// A pool of go-redis that could not dial looks once a second whether it was closed (internal/pool/pool.go, tryDial).
	goleak.VerifyTestMain(pgtest.Tests{M: m}, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// house is a running Sandpiper, of one process or of many.
type house struct {
	api   *client.Client
	url   string // of an API; of many, it is another one than api speaks to
	model *scripted.Server
	log   *logBuffer   // of all its processes
	stop  func() error // ends it, in order; the test's end does the same

	database  string // its Postgres; "" means that it has a file
	processes int    // that take or run jobs
}

// URL is where the house answers.
func (h *house) URL() string { return h.url }

// logBuffer keeps what a house logs.
type logBuffer struct {
	also *logBuffer // hears it too; may be nil
	mu   sync.Mutex
	buf  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	if l.also != nil {
		_, _ = l.also.Write(p) // never fails
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// claudeBinary is the real command.
func claudeBinary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("SANDPIPER_CLAUDE")
	if path == "" {
		t.Fatal("set SANDPIPER_CLAUDE, or run make test, which installs it")
	}
	return path
}

// open starts a house with a scripted model and the real claude. More variables, as NAME=value, come last and win.
func open(t testing.TB, vars ...string) *house {
	t.Helper()
	return openTuned(t, vars)
}

// openTuned is open, with workers that have other habits.
func openTuned(t testing.TB, vars []string, habits ...habit) *house {
	t.Helper()
	if *estate == composedEstate {
		return enter(t, vars, habits)
	}
	model := scripted.New(t)
	vars = append(usual(t, model), vars...)
	if *estate == fleetEstate {
		return &openFleet(t, model, vars, habits...).house
	}
	return openWith(t, model, vars, habits...)
}

// usual are the variables of a house.
func usual(t testing.TB, model *scripted.Server) []string {
	t.Helper()
	data := t.TempDir()
	storetest.Prepare(t, filepath.Join(data, "sandpiper.db")) // where vars name another database, it is not looked at
	return []string{
		"SANDPIPER_DATA=" + data, "SANDPIPER_CLAUDE=" + claudeBinary(t),
		"ANTHROPIC_API_KEY=" + key, "ANTHROPIC_BASE_URL=" + model.URL(),
	}
}

// openWith starts a house of one process, with everything embedded that vars do not name.
func openWith(t testing.TB, model *scripted.Server, vars []string, habits ...habit) *house {
	t.Helper()
	return openLocal(t, model, vars, nil, habits...)
}

// openLocal is openWith, with a local Daytona that has other habits.
func openLocal(t testing.TB, model *scripted.Server, vars []string, local func(*localdaytona.Options), habits ...habit) *house {
	t.Helper()
	cfg, err := config.Load(append([]string{"SANDPIPER_ADDR=127.0.0.1:0", "LOG_LEVEL=debug"}, vars...), config.RoleUp)
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	h, err := boot.Open(t.Context(), cfg, boot.Options{
		Log: telemetry.Logger(log, "json", "debug"),
		Local: func(o *localdaytona.Options) {
			lightDaemons(o)
			if local != nil {
				local(o)
			}
		},
		Habits: func(o *worker.Options) { tune(o, habits) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	<-h.Reached() // at once, unless the database is a server
	stop := sync.OnceValue(func() error {
		cancel()
		err := <-ended
		_, leaving := h.Leave(context.WithoutCancel(t.Context()))
		return errors.Join(err, leaving, h.Close())
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("close the house: %v", err)
		}
		if _, err := boot.Stop(context.WithoutCancel(t.Context()), cfg.Data); err != nil { // what a test left running on purpose
			t.Errorf("stop what is left: %v", err)
		}
		if t.Failed() {
			t.Logf("the log of the house:\n%s", tail(log.String(), 12_000))
		}
	})
	return &house{api: client.New(h.URL(), client.Options{}), url: h.URL(), model: model, log: log, stop: stop, processes: 1}
}

// lightDaemons has sandboxes run a daemon without the race detector, where there is one (scripts/test.sh builds it).
func lightDaemons(o *localdaytona.Options) { o.Daemon = os.Getenv("TEST_DAEMON") }

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// submit hands a prompt over and fails the test when it is not taken.
func (h *house) submit(t testing.TB, s client.Submit) string {
	t.Helper()
	if s.UserID == "" {
		s.UserID = "user123"
	}
	id, err := h.api.Submit(t.Context(), s)
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	return id
}

// ended waits for the end of a job.
func (h *house) ended(t testing.TB, id string) client.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	j, err := h.api.Wait(ctx, id)
	if err != nil {
		t.Fatalf("wait for %s: %v", id, err)
	}
	return j
}

// ask submits and waits.
func (h *house) ask(t testing.TB, s client.Submit) client.Job {
	t.Helper()
	return h.ended(t, h.submit(t, s))
}

// events are all of a job's events, from SQL.
func (h *house) events(t testing.TB, id string) []client.Event {
	t.Helper()
	page, err := h.api.Events(t.Context(), id, 0, 1000)
	if err != nil {
		t.Fatalf("events of %s: %v", id, err)
	}
	return page.Items
}

// lines are the log lines among events, and for everything else its type.
func lines(events []client.Event) []string {
	var out []string
	for _, e := range events {
		switch e.Type {
		case client.EventLog:
			out = append(out, e.Data)
		case client.EventState:
			out = append(out, "state "+string(e.State))
		case client.EventDone:
			out = append(out, fmt.Sprintf("done %d", e.ExitCode))
		default:
			out = append(out, string(e.Type))
		}
	}
	return out
}

// script writes an executable stand-in for the claude command.
func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stand-in")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
