package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

var (
	soakFor  = flag.Duration("soak", 5*time.Second, "how long TestSoak goes on")
	soakRate = flag.Int("rate", 50, "jobs a second in TestSoak")
	prompts  = flag.Int("running", 10, "prompts that one worker follows in TestManyRunningPrompts")
	innOnly  = flag.Bool("inn", false, "let them sleep where no sandbox is needed: for more than this machine has room for")
)

// vital are the signs of one process.
type vital struct {
	rss        int64 // bytes
	goroutines int
	cpu        time.Duration
}

// vitals reads them: memory and processor time from the kernel, goroutines from the process itself.
func (m *member) vitals(t testing.TB) (v vital) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	v.rss = number(t, status, "VmRSS:") << 10
	_, metrics := page(t, m.url+"/metrics")
	v.goroutines = int(number(t, []byte(metrics), "\ngo_goroutines"))
	v.cpu = processorTime(t, m.cmd.Process.Pid)
	return v
}

// number is the number behind a word.
func number(t testing.TB, text []byte, word string) int64 {
	t.Helper()
	_, after, found := bytes.Cut(append([]byte("\n"), text...), []byte(word))
	if !found {
		t.Fatalf("there is no %q", word)
	}
	n, err := strconv.ParseInt(strings.Fields(string(after))[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// processorTime is what a process has used (proc(5): fields 14 and 15, in hundredths of a second).
func processorTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(after)
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// TestSoak sends so many no-op jobs a second through an api and a worker, on Postgres and Redis, and looks at both
// processes: what a job leaves behind shows when there were many. -soak 10m makes it a measurement.
func TestSoak(t *testing.T) {
	model := scripted.New(t)
	f := newFleet(t, model, append(usual(t, model), "SANDPIPER_EXECUTOR=noop", "LOG_LEVEL=warn"))
	api, worker := f.addAPI(t), f.addWorker(t)
	f.ready(t)
	for range 2 * *soakRate { // what is made once is made
		f.ask(t, client.Submit{Input: "warm up"})
	}
	early := map[string]vital{"api": api.vitals(t), "worker": worker.vitals(t)}
	ids := f.stream(t, *soakFor, func(passed time.Duration) {
		t.Logf("%6v  api %s  worker %s", passed.Round(time.Second), api.vitals(t), worker.vitals(t))
	})
	for _, id := range ids {
		if j := f.ended(t, id); j.State != client.Succeeded {
			t.Fatalf("job %s = %s %+v", id, j.State, j.Error)
		}
	}
	for name, m := range map[string]*member{"api": api, "worker": worker} {
		eventually(t, name+" has let go of what the jobs needed", func() bool {
			return m.vitals(t).goroutines <= early[name].goroutines+20
		})
		t.Logf("%s: %s, after %d jobs %s", name, early[name], len(ids), m.vitals(t))
	}
}

func (v vital) String() string {
	return fmt.Sprintf("%d MB, %d goroutines, %v of processor", v.rss>>20, v.goroutines, v.cpu.Round(10*time.Millisecond))
}

// stream submits at the rate of the flag for so long, and calls look twenty times meanwhile.
func (f *fleet) stream(t testing.TB, d time.Duration, look func(passed time.Duration)) (ids []string) {
	t.Helper()
	tick := time.NewTicker(time.Second / time.Duration(*soakRate))
	defer tick.Stop()
	began, looked := time.Now(), time.Duration(0)
	for passed := time.Duration(0); passed < d; passed = time.Since(began) {
		ids = append(ids, f.submit(t, client.Submit{UserID: fmt.Sprint("user", len(ids)%20), Input: "x"}))
		if passed-looked > d/20 {
			looked = passed
			look(passed)
		}
		<-tick.C
	}
	return ids
}

// sleeper is a command that speaks a line as claude does, sleeps until its connection is closed, and answers. It costs
// nothing, so that the worker shows.
const sleeper = `#!/bin/bash
case "$1" in --version) echo "2.1.330 (Claude Code)"; exit;; esac
cat >/dev/null
echo '{"type":"system","subtype":"init","session_id":"00000000-0000-0000-0000-000000000000"}'
echo '{"type":"system","subtype":"status","status":"requesting"}'
read -r _ </dev/tcp/127.0.0.1/%d
echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn","result":"slept","usage":{"input_tokens":3,"output_tokens":1},"session_id":"00000000-0000-0000-0000-000000000000"}'
`

// bed is where sleepers lie: each is a connection.
type bed struct {
	net.Listener
	wake chan struct{}
}

func newBed(t testing.TB) bed {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := bed{l, make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			all.Go(func() { <-b.wake; c.Close() })
		}
	})
	t.Cleanup(func() { b.Close(); all.Wait() })
	return b
}

// openDormitory is a fleet of one worker, whose slots are full of prompts that sleep, in sandboxes or in an inn, until they
// are woken. More workers have as many slots.
func openDormitory(t testing.TB, inSandboxes bool) (f *fleet, ids []string, wake func()) {
	t.Helper()
	model := scripted.New(t)
	beds := newBed(t)
	wake = sync.OnceFunc(func() { close(beds.wake) })
	t.Cleanup(wake)
	command := filepath.Join(t.TempDir(), "claude")
	if err := os.WriteFile(command, fmt.Appendf(nil, sleeper, beds.Addr().(*net.TCPAddr).Port), 0o755); err != nil {
		t.Fatal(err)
	}
	f = newFleet(t, model, append(usual(t, model), "SANDPIPER_CLAUDE="+command, "LOG_LEVEL=warn"))
	f.vars = append(f.vars, "SANDPIPER_CONCURRENCY="+strconv.Itoa(*prompts))
	if !inSandboxes {
		f.vars = append(f.vars, "DAYTONA_API_URL="+openInn(t, beds.wake).URL+"/api")
	}
	f.addAPI(t)
	f.addWorker(t)
	f.ready(t)
	for i := range *prompts {
		ids = append(ids, f.submit(t, client.Submit{UserID: fmt.Sprint("user", i%50), Input: "sleep", TimeoutSeconds: 3600}))
	}
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for f.sql(t, `SELECT COUNT(*)::text FROM runs WHERE phase = 'launched'`) != strconv.Itoa(*prompts) {
		<-look.C // as long as it takes: two thousand sandboxes are not made in a minute
	}
	return f, ids, wake
}

// TestManyRunningPrompts lets one worker follow many prompts at once, and looks at it for half a minute: its memory, its
// processor and what it writes. -running 2000 -inn makes it a measurement; in sandboxes it takes 10 MB a prompt for them.
func TestManyRunningPrompts(t *testing.T) {
	if !*innOnly {
		t.Run("in sandboxes", func(t *testing.T) { manyRunningPrompts(t, true) })
	}
	t.Run("in an inn", func(t *testing.T) { manyRunningPrompts(t, false) })
}

func manyRunningPrompts(t *testing.T, inSandboxes bool) {
	f, ids, wake := openDormitory(t, inSandboxes)
	worker := f.workers[0]
	const writes = `SELECT (tup_inserted + tup_updated + tup_deleted)::text FROM pg_stat_database WHERE datname = current_database()`
	const commits = `SELECT xact_commit::text FROM pg_stat_database WHERE datname = current_database()`
	window := min(30*time.Second, time.Duration(*prompts)*100*time.Millisecond)
	began, before, rows, done := time.Now(), worker.vitals(t), f.sql(t, writes), f.sql(t, commits)
	<-time.After(window) // a measurement: nothing is waited for
	after, took := worker.vitals(t), time.Since(began).Seconds()
	t.Logf("%d running prompts: worker %d MB, %d goroutines, %.1f %% of a core, %.0f rows and %.0f transactions a second",
		*prompts, after.rss>>20, after.goroutines, 100*(after.cpu-before.cpu).Seconds()/took,
		float64(difference(t, f.sql(t, writes), rows))/took, float64(difference(t, f.sql(t, commits), done))/took)
	wake()
	for _, id := range ids {
		if j := f.ended(t, id); j.State != client.Succeeded || j.Result.Text != "slept" {
			t.Fatalf("job %s = %s %+v", id, j.State, j.Error)
		}
	}
}

func difference(t testing.TB, after, before string) int {
	t.Helper()
	a, err := strconv.Atoi(after)
	if err != nil {
		t.Fatal(err)
	}
	b, err := strconv.Atoi(before)
	if err != nil {
		t.Fatal(err)
	}
	return a - b
}
