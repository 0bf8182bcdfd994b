package chaos

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sandpiper/internal/job"
	"sandpiper/internal/queue"
)

// breaker carries a plan out, in the test's own goroutine.
type breaker struct {
	*fleet
	hinter *queue.Queue // pushes hints by hand, past every proxy
	later  []undo
	taken  []taken
	down   bool // something is being done to Postgres
	hung   bool // Redis is paused, and takes no command of ours either
}

// undo is what ends a fault that lasts.
type undo struct {
	at time.Time
	do func()
}

// taken is a job that a worker held when it was killed or stopped.
type taken struct {
	job     string
	attempt int64
	at      time.Time
	how     string
}

// run breaks what the plan says, when it says so, until ctx ends.
func (b *breaker) run(ctx context.Context, plan []fault) {
	began := time.Now()
	for _, f := range plan {
		due := began.Add(f.at)
		for {
			next := due
			if len(b.later) > 0 && b.later[0].at.Before(due) {
				next = b.later[0].at
			}
			if !rest(time.Until(next), ctx.Done()) {
				return
			}
			if next.Equal(due) {
				break
			}
			b.undo()
		}
		faults[f.what](b, f)
	}
	for len(b.later) > 0 {
		rest(time.Until(b.later[0].at), ctx.Done())
		b.undo()
	}
}

func (b *breaker) undo() {
	do := b.later[0].do
	b.later = b.later[1:]
	do()
}

// after lets something happen later.
func (b *breaker) after(d time.Duration, do func()) {
	b.later = append(b.later, undo{time.Now().Add(d), do})
	slices.SortStableFunc(b.later, func(x, y undo) int { return x.at.Compare(y.at) })
}

// faults are how each of them is done. What lies in wait is counted when it hits.
var faults = map[string]func(*breaker, fault){
	"kill -9 worker":  func(b *breaker, f fault) { b.end(b.workers, f, syscall.SIGKILL) },
	"kill -9 api":     func(b *breaker, f fault) { b.end(b.apis, f, syscall.SIGKILL) },
	"kill -9 daytona": func(b *breaker, f fault) { b.end([]*part{b.daytona}, f, syscall.SIGKILL) },
	"SIGTERM worker":  func(b *breaker, f fault) { b.end(b.workers, f, syscall.SIGTERM) },
	"SIGTERM api":     func(b *breaker, f fault) { b.end(b.apis, f, syscall.SIGTERM) },
	"SIGTERM daytona": func(b *breaker, f fault) { b.end([]*part{b.daytona}, f, syscall.SIGTERM) },
	"SIGSTOP worker":  func(b *breaker, f fault) { f.length *= 3; b.pause(b.workers, f) },
	"SIGSTOP api":     func(b *breaker, f fault) { b.pause(b.apis, f) },
	"SIGSTOP daytona": func(b *breaker, f fault) { b.pause([]*part{b.daytona}, f) },

	"FLUSHALL":        func(b *breaker, f fault) { b.wipe(f, b.redis.Flush) },
	"redis restarted": func(b *breaker, f fault) { b.wipe(f, b.redis.Restart) },
	"redis paused": func(b *breaker, f fault) {
		if b.hung {
			return
		}
		b.wipe(f, b.redis.Pause)
		b.hung = true
		b.for_(f, func() {
			b.redis.Resume(b.t)
			b.hung = false
		})
	},
	"postgres restarted": func(b *breaker, f fault) { b.server(f, b.postgres.Stop, b.postgres.Start) },
	"postgres crashed":   func(b *breaker, f fault) { b.server(f, b.postgres.Kill, b.postgres.Start) },
	"postgres paused":    func(b *breaker, f fault) { b.server(f, b.postgres.Pause, b.postgres.Resume) },

	"cut postgres":   func(b *breaker, f fault) { b.sql.cut(1+f.target%4, f.size) },
	"cut redis":      func(b *breaker, f fault) { b.hints.cut(1+f.target%4, f.size) },
	"cut sandboxes":  func(b *breaker, f fault) { b.boxes.cut(1+f.target%8, f.size) },
	"cut clients":    func(b *breaker, f fault) { b.front(f).cut(1+f.target%4, f.size) },
	"slow postgres":  func(b *breaker, f fault) { b.slow(b.sql.wire, f, 150*time.Millisecond) },
	"slow redis":     func(b *breaker, f fault) { b.slow(b.hints.wire, f, 300*time.Millisecond) },
	"slow sandboxes": func(b *breaker, f fault) { b.slow(b.boxes.wire, f, time.Second) },
	"slow clients":   func(b *breaker, f fault) { b.slow(b.front(f).wire, f, 500*time.Millisecond) },

	"lose commit":         func(b *breaker, f fault) { b.sql.lose(writes[f.target%len(writes)].kind) },
	"lose hint":           func(b *breaker, f fault) { b.hints.lose(hintKinds[f.target%len(hintKinds)]) },
	"lose sandbox answer": func(b *breaker, f fault) { b.boxes.spring(trap{lost, sandboxWrites[f.target%len(sandboxWrites)]}) },
	"half sandbox answer": func(b *breaker, _ fault) { b.boxes.spring(trap{half, ""}) },
	"sandbox 500":         func(b *breaker, _ fault) { b.boxes.spring(trap{"500", ""}) },
	"sandbox 429":         func(b *breaker, _ fault) { b.boxes.spring(trap{"429", ""}) },
	"lose api answer":     func(b *breaker, f fault) { b.front(f).spring(trap{lost, apiWrites[f.target/2%len(apiWrites)]}) },
	"half api answer":     func(b *breaker, f fault) { b.front(f).spring(trap{half, ""}) },
	"api 500":             func(b *breaker, f fault) { b.front(f).spring(trap{"503", ""}) },
	"hint twice":          func(b *breaker, f fault) { b.hintTwice(f) },

	"sandbox stopped": func(b *breaker, f fault) { b.harm(f, http.MethodPost, "/stop?force=true") },
	"sandbox deleted": func(b *breaker, f fault) { b.harm(f, http.MethodDelete, "?force=true") },
	"away together":   func(b *breaker, f fault) { b.together(f) },
	"clock jumps":     func(b *breaker, f fault) { b.jump(f) },
}

// hintKinds are the commands to Redis whose answers are lost.
var hintKinds = []string{
	"script t pending", "script pending paused active lease", "script active lease t processed processed", "script lease", "publish", "sadd",
}

// sandboxWrites are the calls of the platform that change something.
var sandboxWrites = []string{
	"POST sandbox", "POST toolbox/*/process/session", "POST toolbox/*/process/session/*/exec (preflight)",
	"POST toolbox/*/process/session/*/exec (launch)", "POST toolbox/*/files/bulk-upload", "POST toolbox/*/process/execute (follow)",
	"POST toolbox/*/process/execute (look)", "POST toolbox/*/process/execute (stop)",
}

// apiWrites are the calls of our own API that change something.
var apiWrites = []string{"POST api/knowledge/process", "POST api/knowledge/process", "POST api/jobs/*/cancel"}

func (b *breaker) may(err error) {
	if err != nil {
		b.t.Fatal(err) // the plan's own means do not work
	}
}

// for_ ends a fault after its time, at most four seconds: everything waits for these.
func (b *breaker) for_(f fault, do func()) { b.after(min(f.length, 4*time.Second), do) }

// wipe does something to Redis, unless it hangs.
func (b *breaker) wipe(f fault, do func(testing.TB)) {
	if !b.hung {
		b.ledger.hit(f.what)
		do(b.t)
	}
}

// server does something to Postgres that lasts, one thing at a time.
func (b *breaker) server(f fault, begin, end func() error) {
	if b.down {
		return
	}
	b.down = true
	b.ledger.hit(f.what)
	b.may(begin())
	b.for_(f, func() {
		b.may(end())
		b.down = false
	})
}

func (b *breaker) front(f fault) *httpProxy { return b.fronts[f.target%len(b.fronts)] }

func (b *breaker) slow(w *wire, f fault, most time.Duration) {
	b.ledger.hit(f.what)
	w.slow(min(time.Duration(f.size)*time.Millisecond/8, most))
	b.after(f.length, func() { w.slow(0) })
}

// end ends one of the processes and starts it again after a while.
func (b *breaker) end(among []*part, f fault, how syscall.Signal) {
	p := among[f.target%len(among)]
	if !p.lives() || p.paused {
		return
	}
	b.ledger.hit(f.what)
	if p.role == "worker" {
		b.remember(p, f.what)
	}
	p.signal(b.t, how)
	b.restart(p, f.length)
}

func (b *breaker) restart(p *part, in time.Duration) {
	b.after(in, func() {
		if p.lives() { // it still ends itself
			b.restart(p, 500*time.Millisecond)
			return
		}
		p.start(b.t)
	})
}

// pause lets one of the processes hang.
func (b *breaker) pause(among []*part, f fault) {
	p := among[f.target%len(among)]
	if !p.lives() || p.paused {
		return
	}
	b.ledger.hit(f.what)
	p.signal(b.t, syscall.SIGSTOP)
	b.after(f.length, func() { p.signal(b.t, syscall.SIGCONT) })
}

// remember keeps what a worker holds, to see how soon others follow it. A database that is away right now keeps it from
// that, and from nothing else.
func (b *breaker) remember(p *part, how string) {
	holder := p.holder(b.t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, b.database)
	if err != nil {
		return
	}
	defer conn.Close(ctx)
	found, err := conn.Query(ctx, `SELECT l.job_id, l.attempt FROM leases l JOIN runs r ON r.job_id = l.job_id AND r.phase = 'launched'
		WHERE l.worker = $1`, holder)
	if err != nil {
		return
	}
	at := time.Now()
	held, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (h taken, err error) {
		h.at, h.how = at, how
		return h, row.Scan(&h.job, &h.attempt)
	})
	if err == nil {
		b.taken = append(b.taken, held...)
	}
}

// hintTwice pushes hints of jobs that were pushed before, whatever their state is by now.
func (b *breaker) hintTwice(f fault) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, b.database)
	if err != nil {
		return // it is down
	}
	defer conn.Close(ctx)
	found, err := conn.Query(ctx, `SELECT id FROM jobs ORDER BY number DESC LIMIT $1`, 1+f.target%5)
	if err != nil {
		return
	}
	ids, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return
	}
	for _, id := range ids {
		h := job.Hint{JobID: id, DispatchSeq: int64(1_000_000 + f.at.Milliseconds()), Priority: job.Priorities[f.target%len(job.Priorities)]}
		if b.hinter.Push(ctx, h) == nil {
			b.ledger.hit(f.what)
		}
	}
}

// adoptions are how long it took until another worker followed what one had held, for each way of ending it. What ended
// before that is left out.
func (b *breaker) adoptions(p picture) map[string][]time.Duration {
	all := map[string][]time.Duration{}
	for _, h := range b.taken {
		for _, e := range p.events[h.job] {
			if is := e.body(); e.Type == "state" && is.State == "running" && is.Attempt == h.attempt+1 {
				all[h.how] = append(all[h.how], time.UnixMilli(e.At).Sub(h.at))
				break
			}
		}
	}
	return all
}

// told are p50 and p95 of durations.
func told(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	at := func(percent int) time.Duration {
		return all[min(len(all)-1, len(all)*percent/100)].Round(10 * time.Millisecond)
	}
	return fmt.Sprintf("p50 %v, p95 %v, most %v, of %d", at(50), at(95), at(100), len(all))
}

// quiet are what a proxy has seen and never trapped, for a plan that wants to be complete.
func untouched(seen map[string]int, l *ledger, name string) (kinds []string) {
	for kind := range seen {
		if !slices.ContainsFunc(l.all(), func(hit string) bool { return strings.HasPrefix(hit, name) && strings.HasSuffix(hit, ": "+kind) }) {
			kinds = append(kinds, fmt.Sprintf("%s (%d)", kind, seen[kind]))
		}
	}
	slices.SortFunc(kinds, cmp.Compare[string])
	return kinds
}
