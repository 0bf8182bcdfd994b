package chaos

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sandpiper/internal/pgtest"
	"sandpiper/internal/redistest"
)

// What a fleet is told. None of it is a real key.
const (
	modelKey   = "sk-ant-chaos-0123456789abcdef0123456789abcdef"
	daytonaKey = "dtn_chaos_0123456789abcdef"
)

// fleet is a Sandpiper of many processes, and the proxies between them.
type fleet struct {
	t      testing.TB
	dir    string
	bin    string // folder of the programs
	ledger *ledger

	postgres *pgtest.Server
	database string // past every proxy
	redis    *redistest.Server
	sql      *streamProxy // to Postgres
	hints    *streamProxy // to Redis
	boxes    *httpProxy   // to the local Daytona
	fronts   []*httpProxy // to each api

	spared bool   // no sandbox is stopped or deleted: what is launched is not known well enough to judge that
	harms  []harm // to sandboxes

	guest   bool // Postgres and the local Daytona are another fleet's
	daytona *part
	apis    []*part
	workers []*part
}

// design is what varies between fleets.
type design struct {
	bin     string   // folder of the programs
	claude  string   // the command in its sandboxes
	model   string   // URL of the model, or of the record
	apis    int      // 0 means 2
	workers int      // 0 means 3; -1 means none, yet
	slots   int      // of each worker; 0 means 8
	vars    []string // more variables, of every process
	clocks  string   // folder of a worker whose clock can be set; "" means the right time
	beside  *fleet   // whose Postgres and local Daytona this one uses too; nil means its own
}

// openFleet starts a fleet and waits until all of it is ready.
func openFleet(t testing.TB, d design) *fleet {
	t.Helper()
	f := newFleet(t, d)
	if d.beside == nil {
		f.daytona.start(t)
	}
	for _, p := range f.all() {
		p.start(t)
	}
	f.ready()
	return f
}

func newFleet(t testing.TB, d design) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), bin: d.bin, ledger: newLedger()}
	if d.beside != nil {
		f.postgres, f.daytona, f.guest = d.beside.postgres, d.beside.daytona, true
	} else {
		f.postgres = pgtest.New(t, "fsync=off")
	}
	f.redis = redistest.Start(t)
	f.database = f.postgres.Database(t)
	f.sql = newStreamProxy(t, "postgres", fmt.Sprintf("127.0.0.1:%d", f.postgres.Port()), f.ledger, newPostgresEar)
	f.hints = newStreamProxy(t, "redis", f.redis.Addr(), f.ledger, newRedisEar)
	f.boxes = newHTTPProxy(t, "sandboxes", f.ledger, sandboxKind)
	t.Cleanup(f.close)

	base := append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + f.dir, "LOG_FORMAT=json", "LOG_LEVEL=info", "SANDPIPER_ADDR=127.0.0.1:0",
		"DAYTONA_API_KEY=" + daytonaKey, "DATABASE_URL=" + f.throughProxy(), "REDIS_URL=redis://" + f.hints.addr(),
		"DAYTONA_API_URL=" + f.boxes.url() + "/api",
	}, d.vars...)
	if f.guest {
		f.boxes.leads(f.daytona.where())
	} else {
		f.daytona = f.part("daytona", "sandpiper", 0, []string{"daytona"}, []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + f.dir, "LOG_FORMAT=json", "DAYTONA_API_KEY=" + daytonaKey,
			"SANDPIPER_DATA=" + f.data(), "SANDPIPER_DAYTONA_ADDR=127.0.0.1:0", "SANDPIPER_CLAUDE=" + d.claude,
		})
		f.daytona.found = f.boxes.leads
	}
	for i := range or(d.apis, 2) {
		front := newHTTPProxy(t, "clients", f.ledger, apiKind)
		api := f.part("api", "api", i+1, nil, append(slices.Clone(base), "SANDPIPER_DATA="+f.dir))
		api.found = front.leads
		f.fronts, f.apis = append(f.fronts, front), append(f.apis, api)
	}
	for i := range max(0, or(d.workers, 3)) {
		w := f.part("worker", "worker", i+1, nil, append(slices.Clone(base),
			"SANDPIPER_DATA="+f.dir, "ANTHROPIC_API_KEY="+modelKey, "ANTHROPIC_BASE_URL="+d.model,
			fmt.Sprint("SANDPIPER_CONCURRENCY=", or(d.slots, 8))))
		if d.clocks != "" {
			f.wrongClock(w, d.clocks)
		}
		f.workers = append(f.workers, w)
	}
	f.program("migrate", "up")
	return f
}

// wrongClock gives a worker a clock that can be set. It is right at first.
func (f *fleet) wrongClock(w *part, folder string) {
	f.t.Helper()
	w.clock = strings.TrimSuffix(w.log, ".log") + ".clock"
	if err := setClock(w.clock, 0); err != nil {
		f.t.Fatal(err)
	}
	w.bin, w.env = filepath.Join(folder, filepath.Base(w.bin)), append(w.env, "CHAOS_CLOCK="+w.clock)
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

func (f *fleet) part(role, program string, number int, args, env []string) *part {
	name := strings.TrimSuffix(fmt.Sprintf("%s %d", role, number), " 0")
	return &part{
		name: name, role: role, bin: filepath.Join(f.bin, program), args: args, env: env,
		log: filepath.Join(f.dir, strings.ReplaceAll(name, " ", "-")+".log"),
	}
}

// data is the directory of the local Daytona.
func (f *fleet) data() string { return filepath.Join(f.dir, "daytona") }

// throughProxy is the database as the processes reach it.
func (f *fleet) throughProxy() string {
	return strings.Replace(f.database, fmt.Sprintf("127.0.0.1:%d", f.postgres.Port()), f.sql.addr(), 1)
}

// program runs a command of the terminal to its end.
func (f *fleet) program(args ...string) string {
	f.t.Helper()
	cmd := exec.Command(filepath.Join(f.bin, "sandpiper"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + f.dir, "DATABASE_URL=" + f.database, "SANDPIPER_DATA=" + f.data()}
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Errorf("sandpiper %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// all are the api and worker processes.
func (f *fleet) all() []*part { return slices.Concat(f.apis, f.workers) }

// own are all processes that are not another fleet's.
func (f *fleet) own() []*part {
	if f.guest {
		return f.all()
	}
	return append(f.all(), f.daytona)
}

// ready waits until every process is.
func (f *fleet) ready() {
	f.t.Helper()
	for _, p := range f.all() {
		eventually(f.t, p.name+" is ready", time.Minute, func() bool {
			if !p.lives() {
				f.t.Fatalf("%s has ended: %s\n%s", p.name, p.exit(), tail(p.logged(f.t), 2000))
			}
			return p.where() != "" && status(p.where()+"/readyz") == http.StatusOK
		})
	}
}

// status is what a page answers with; 0 when nobody does.
func status(url string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	resp, err := plain.Do(q)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// plain is a client that keeps no connection to a process that may be killed.
var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// eventually waits until it is so, and fails the test when that takes too long.
func eventually(t testing.TB, what string, within time.Duration, so func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(within); !so(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("waited %v until %s", within, what)
		}
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// heal ends every fault that lasts, and starts what is down.
func (f *fleet) heal() {
	f.t.Helper()
	for _, w := range f.wires() {
		w.slow(0)
	}
	f.sql.disarm()
	f.hints.disarm()
	f.boxes.disarm()
	for _, front := range f.fronts {
		front.disarm()
	}
	for _, p := range f.own() {
		if p.paused {
			p.signal(f.t, syscall.SIGCONT)
		}
		p.start(f.t)
	}
}

func (f *fleet) wires() []*wire {
	all := []*wire{f.sql.wire, f.hints.wire, f.boxes.wire}
	for _, front := range f.fronts {
		all = append(all, front.wire)
	}
	return all
}

// stop ends every api and worker as an operator does, and says which of them did not end well.
func (f *fleet) stop(within time.Duration) (bad []string) {
	for _, p := range f.all() {
		p.signal(f.t, syscall.SIGTERM)
	}
	over := time.After(within)
	for _, p := range f.own() {
		if p == f.daytona {
			p.signal(f.t, syscall.SIGTERM)
		}
		if p.cmd == nil {
			continue
		}
		select {
		case <-p.ended:
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				bad = append(bad, fmt.Sprintf("%s ended with %d: %s", p.name, code, tail(p.logged(f.t), 500)))
			}
		case <-over:
			bad = append(bad, fmt.Sprintf("%s did not end within %v", p.name, within))
		}
	}
	return bad
}

// close ends whatever still runs. It is no check.
func (f *fleet) close() {
	for _, p := range f.own() {
		if p.lives() {
			p.signal(f.t, syscall.SIGKILL)
		}
	}
	if !f.guest {
		f.program("stop")
	}
	if f.t.Failed() {
		f.keepLogs()
	}
}

// keepLogs keeps the logs of a failed run where they can be read afterwards.
func (f *fleet) keepLogs() {
	dir, err := os.MkdirTemp("", "chaos-logs-")
	if err != nil {
		f.t.Log(err)
		return
	}
	logs, _ := filepath.Glob(filepath.Join(f.dir, "*.log"))
	for _, name := range logs {
		raw, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(name)), raw, 0o600)
		}
		if err != nil {
			f.t.Log(err)
		}
	}
	f.t.Logf("the logs of the processes are in %s", dir)
}

// rows asks the database, past every proxy.
func rows[T any](f *fleet, query string, args ...any) []T {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, f.database)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(ctx)
	found, err := conn.Query(ctx, query, args...)
	if err != nil {
		f.t.Fatal(err)
	}
	all, err := pgx.CollectRows(found, pgx.RowToStructByPos[T])
	if err != nil {
		f.t.Fatalf("%s: %v", query, err)
	}
	return all
}

// column asks the database for one.
func column(f *fleet, query string, args ...any) (all []string) {
	for _, one := range rows[struct{ Text string }](f, query, args...) {
		all = append(all, one.Text)
	}
	return all
}
