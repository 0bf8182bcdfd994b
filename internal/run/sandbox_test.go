package run_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/localdaytona"
	"sandpiper/internal/run"
)

// sandbox is one of the local Daytona's, behind its real API and the real client.
type sandbox struct {
	*daytona.Toolbox
	t        testing.TB
	box      *box // makes launches
	client   *daytona.Client
	id       string
	requests atomic.Int32 // to the toolbox
	walls    bool         // it has a process table of its own
}

// lacking are the kinds of sandboxes that this machine cannot have, with the reason.
var lacking sync.Map

// eachSandbox runs a test in every kind of sandbox that this machine can have.
func eachSandbox(t *testing.T, test func(t *testing.T, s *sandbox)) {
	t.Parallel()
	for _, form := range []string{"none", "bubblewrap", "bubblewrap with a user namespace"} {
		options := localdaytona.Options{
			Dir: t.TempDir(), Key: "the-platform-key", Isolation: form, Log: slog.New(slog.DiscardHandler),
			Claude:    os.Getenv("SANDPIPER_CLAUDE"),
			Workspace: []localdaytona.WorkspaceEntry{{Path: "workspace", Dir: true}, {Path: "notes", Dir: true, Mode: 0o777}},
		}
		if err, known := lacking.Load(form); known {
			t.Logf("%s does not work on this machine: %v", form, err)
			continue
		}
		server, err := localdaytona.New(options)
		if err != nil {
			lacking.Store(form, err)
			t.Logf("%s does not work on this machine: %v", form, err)
			continue
		}
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			test(t, newSandbox(t, server, options.Key, form != "none"))
		})
	}
}

func newSandbox(t testing.TB, server *localdaytona.Server, key string, walls bool) *sandbox {
	t.Helper()
	s := &sandbox{t: t, walls: walls, box: &box{t: t, home: run.DefaultHome, name: rand.Text(), n: nights()}}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/toolbox/") {
			s.requests.Add(1)
		}
		server.Handler().ServeHTTP(w, r)
	}))
	s.client = daytona.New(daytona.Options{URL: web.URL + "/api", Key: key})
	t.Cleanup(func() {
		s.client.Close()
		if err := server.StopAll(context.Background()); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	sb, err := s.client.Create(t.Context(), daytona.Create{
		Name: "sbx_test", Env: map[string]string{"ANTHROPIC_API_KEY": "test-key", "USER_ID": "ann"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Toolbox, s.id = s.client.Toolbox(sb), sb.ID
	if err := s.CreateSession(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	s.requests.Store(0)
	return s
}

func (s *sandbox) launch(script string, change ...func(*run.Launch)) run.Launch {
	return s.box.launch(script, change...)
}

func (s *sandbox) started(l run.Launch) run.Launch {
	s.t.Helper()
	got, err := run.Start(s.t.Context(), s, l)
	if err != nil || got != (run.Started{}) {
		s.t.Fatalf("Start = %+v, %v, want a start", got, err)
	}
	return l
}

func (s *sandbox) followed(runID string) (out []byte, last run.Chunk) {
	s.t.Helper()
	for {
		c, err := run.Follow(s.t.Context(), s, runID, int64(len(out)), 20*time.Second)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, c.Data...)
		if c.Ended || c.Gone {
			return out, c
		}
	}
}

// says runs a command in the sandbox and returns its output.
func (s *sandbox) says(command string) string {
	s.t.Helper()
	done, err := s.Execute(s.t.Context(), daytona.Execute{Command: command, Timeout: time.Minute})
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(done.Output)
}

// sleepers are those children of the tests that run, by their last four digits.
func (s *sandbox) sleepers() string {
	return s.says(`for d in /proc/[0-9]*; do mapfile -d '' -t c < $d/cmdline && [[ $c == sleep || $c == /bin/sleep ]] && echo ${c[1]}; done 2>/dev/null |
		sed -n 's/^` + s.box.n + `//p' | sort | xargs`)
}

func TestAWarmJobInASandbox(t *testing.T) {
	eachSandbox(t, func(t *testing.T, s *sandbox) {
		s.started(s.launch(`exit 0`, func(l *run.Launch) { l.RunID = s.box.run("first") }))
		s.followed(s.box.run("first"))
		s.requests.Store(0)
		began := time.Now()
		l := s.started(s.launch(`cat; echo "$ANTHROPIC_API_KEY $USER_ID $PWD"; exit 3`))
		launched := time.Since(began)
		out, last := s.followed(l.RunID)
		t.Logf("a warm run: launched after %s, over and swept after %s", launched, time.Since(began))
		if want := "What is 2+2?test-key ann "; !strings.HasPrefix(string(out), want) || last.Exit != 3 {
			t.Errorf("followed %q, exit %d", out, last.Exit)
		}
		if n := s.requests.Load(); n != 3 {
			t.Errorf("%d requests to the sandbox, want 3", n)
		}
	})
}

// TestTheRealCommandStarts: what is left of the environment is enough for it.
func TestTheRealCommandStarts(t *testing.T) {
	if os.Getenv("SANDPIPER_CLAUDE") == "" {
		t.Fatal("set SANDPIPER_CLAUDE, or run make test, which installs it")
	}
	eachSandbox(t, func(t *testing.T, s *sandbox) {
		l := s.started(s.launch(``, func(l *run.Launch) { l.Args = []string{"claude", "--version"} }))
		if out, last := s.followed(l.RunID); !bytes.Contains(out, []byte("Claude Code")) || last.Exit != 0 {
			t.Errorf("%q, exit %d, %q", out, last.Exit, last.Stderr)
		}
	})
}

func TestManyLaunchesInASandboxStartOnce(t *testing.T) {
	eachSandbox(t, func(t *testing.T, s *sandbox) {
		prompt := make([]byte, 400<<10)
		rand.Read(prompt)
		l := s.launch(`cat > $HOME/notes/prompt; cat $HOME/notes/launches`, func(l *run.Launch) { l.Prompt = prompt })
		var won atomic.Int32
		var all errgroup.Group
		for n := range *manyLaunches {
			all.Go(func() error {
				l := l
				l.Session = "s" + strconv.Itoa(n) // each worker has its own, not made yet
				got, err := run.Start(t.Context(), s, l)
				if err == nil && !got.Already {
					won.Add(1)
				}
				return err
			})
		}
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
		out, _ := s.followed(l.RunID)
		got, err := s.Download(t.Context(), run.DefaultHome+"/notes/prompt", 0, -1)
		if string(out) != "x\n" || won.Load() != 1 || err != nil || !bytes.Equal(got, prompt) {
			t.Errorf("launches %q, %d won, %d bytes of the prompt, %v", out, won.Load(), len(got), err)
		}
	})
}

// hidden are processes that carry no mark and have no parent in the run: only their age and place tell.
const hidden = `
	hide() { env -i /usr/bin/setsid /bin/sh -c "trap '' TERM HUP; echo up > $HOME/notes/$1; exec /bin/sleep $N$1"; }
	hide 1006 &
	( ( hide 1007 ) & ) &
	( ( exec nohup env -i /usr/bin/setsid /bin/sh -c "echo up > $HOME/notes/1008; exec /bin/sleep ${N}1008" >/dev/null 2>&1 ) & ) &
	for n in 1006 1007 1008 plain setsid nohup deaf; do until [[ -s $HOME/notes/$n ]]; do read -t 0.05 <> <(:); done; done
`

func TestNothingHidesFromStop(t *testing.T) {
	eachSandbox(t, func(t *testing.T, s *sandbox) {
		stranger := (&box{t: t}).stranger()
		before := s.says(`exec setsid sleep ` + s.box.n + `1009 >/dev/null 2>&1 & echo there`) // older than the run: not the run's
		l := s.started(s.launch(children + hidden + `echo up; ` + wait))
		if c, err := run.Follow(t.Context(), s, l.RunID, 0, 20*time.Second); err != nil || string(c.Data) != "up\n" {
			t.Fatalf("%s; Follow = %+v, %v", before, c, err)
		}
		if all := s.sleepers(); all != "1001 1002 1003 1004 1005 1006 1007 1008 1009" {
			t.Errorf("before the stop there are %s", all)
		}
		began := time.Now()
		if err := run.Stop(t.Context(), s, l.RunID, 1, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		t.Logf("stopped in %s", time.Since(began))
		if left := s.sleepers(); left != "1009" {
			t.Errorf("left: %q", left)
		}
		if !there(stranger) || !there(os.Getpid()) {
			t.Error("a process outside of the sandbox was killed")
		}
		if e, err := run.Look(t.Context(), s, l.RunID, 1, job.Launched); err != nil || e.Kind != run.Ended || e.Exit != 143 {
			t.Errorf("Look = %+v, %v", e, err)
		}
		s.started(s.launch(`exit 0`, func(l *run.Launch) { l.RunID = s.box.run("next") })) // its session was older, and lives
		s.followed(s.box.run("next"))
	})
}

func TestNothingHidesFromANormalEnd(t *testing.T) {
	eachSandbox(t, func(t *testing.T, s *sandbox) {
		l := s.started(s.launch(children + hidden + `exit 0`))
		if _, last := s.followed(l.RunID); !last.Ended || last.Exit != 0 {
			t.Errorf("%+v", last)
		}
		if left := s.sleepers(); left != "" {
			t.Errorf("left: %q", left)
		}
	})
}

// TestALateReaderLeavesTheNextRunAlone: a worker that lost its lease may still ask about the old run.
func TestALateReaderLeavesTheNextRunAlone(t *testing.T) {
	eachSandbox(t, func(t *testing.T, s *sandbox) {
		old := s.started(s.launch(`exit 0`, func(l *run.Launch) { l.RunID = s.box.run("old") }))
		s.followed(old.RunID)
		l := s.started(s.launch(`echo up; ` + wait))
		if c, err := run.Follow(t.Context(), s, l.RunID, 0, 20*time.Second); err != nil || string(c.Data) != "up\n" {
			t.Fatalf("Follow = %+v, %v", c, err)
		}
		s.followed(old.RunID)
		s.says(`rm -f $HOME/.sandpiper/runs/*_old/swept`) // as if the first reader had died before it was done
		s.followed(old.RunID)
		if err := run.Stop(t.Context(), s, old.RunID, 1, 0); err != nil {
			t.Error(err)
		}
		if e, err := run.Look(t.Context(), s, l.RunID, 1, job.Launched); err != nil || e.Kind != run.Alive {
			t.Errorf("Look = %+v, %v", e, err)
		}
	})
}

func TestASandboxThatDiesGivesNoEvidenceUntilItAnswers(t *testing.T) {
	eachSandbox(t, func(t *testing.T, s *sandbox) {
		l := s.started(s.launch(requesting + wait))
		s.says(`until [[ -s $HOME/notes/pid ]]; do sleep 0.02; done`)
		if err := syscall.Kill(s.daemon(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if e, err := run.Look(t.Context(), s, l.RunID, 1, job.Launched); err == nil {
			t.Errorf("Look = %+v while nobody answers", e)
		}
		if err := s.client.Stop(t.Context(), s.id, true); err != nil && !errors.Is(err, daytona.ErrConflict) {
			t.Logf("stop: %v", err) // it may know already
		}
		s.restarted()
		e, err := run.Look(t.Context(), s, l.RunID, 1, job.Launched)
		// Without walls the daemon's end is nobody else's: the run goes on, is found by its mark, and can be stopped.
		if want := map[bool]run.Kind{true: run.Unknown, false: run.Alive}[s.walls]; err != nil || e.Kind != want {
			t.Errorf("Look = %+v, %v, want %s", e, err, want)
		}
		if err := run.Stop(t.Context(), s, l.RunID, 1, 0); err != nil {
			t.Error(err)
		}
		if e, err := run.Look(t.Context(), s, l.RunID, 1, job.Launched); err != nil || e.Kind == run.Alive {
			t.Errorf("Look after Stop = %+v, %v", e, err)
		}
	})
}

// restarted waits until the platform has seen that the sandbox died, and starts it again.
func (s *sandbox) restarted() {
	s.t.Helper()
	eventually(s.t, "the sandbox is stopped", func() bool {
		sb, err := s.client.Get(s.t.Context(), s.id)
		return err == nil && sb.State == daytona.StateStopped
	})
	sb, err := s.client.Start(s.t.Context(), s.id)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Toolbox = s.client.Toolbox(sb)
}

// daemon is the sandbox's daemon, as this machine numbers it.
func (s *sandbox) daemon() (found int) {
	s.t.Helper()
	for _, pid := range allProcesses(s.t) {
		line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		words := strings.Split(string(line), "\x00")
		if len(words) == 4 && words[1] == "sandbox" && words[2] == s.id {
			found = pid
		}
	}
	if found == 0 {
		s.t.Fatal("the sandbox has no daemon")
	}
	return found
}
