package chaos

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// scenario breaks one thing in a small fleet, on purpose and at the moment at which it matters.
type scenario struct {
	name    string
	do      func(*stage)
	mutants map[string]string // name → the damage that must be found when this protection is missing
}

var scenarios = []scenario{
	{"a worker is killed while its prompt runs", killed, map[string]string{
		"no look": "paid twice", "no intent": "launched twice", "no adoption": "unknown untruly", "events without their offset": "stale write",
		"an offset before its events": "gap", "an adoption is a try": "try charged",
	}},
	{"a worker wakes up after another has finished its job", overslept, map[string]string{"no fence": "stale write"}},
	{"a worker is asked to stop", deployed, map[string]string{"a deploy ends what runs": "killed", "an end without its answer": "answer lost"}},
	{"a job is cancelled while its prompt runs", called, map[string]string{"a cancel ends no run": "left over"}},
	{"the answer to a launch is lost", relaunched, map[string]string{"no lock": "launched twice"}},
	{"the answer to a submission is lost", resubmitted, map[string]string{"no idempotency": "doubled"}},
	{"Redis forgets everything before anybody has read it", wiped, map[string]string{"hints are the truth": "lost"}},
	{"Postgres is away when a job is submitted", unkept, map[string]string{"answer before commit": "lost"}},
	{"the platform stumbles at every step", stumbled, nil},
	{"a sandbox takes no upload", refused, nil},
	{"the platform stops a sandbox under its prompt", halted("sandbox stopped"), nil},
	{"the platform deletes a sandbox under its prompt", halted("sandbox deleted"), nil},
	{"Postgres and Redis are away when the answer comes", apart, nil},
	{"clients come and go", watched, map[string]string{
		"publish before commit": "client differs", "no replay": "client differs", "everybody's events": "client differs",
		"the prompt is tidied": "prompt altered", "no mask": "secret shown",
	}},
}

// TestEveryMutantIsCaught: each scenario is harmless, and does the named damage when one protection is missing.
func TestEveryMutantIsCaught(t *testing.T) {
	missing := map[string]bool{}
	for _, m := range mutations {
		missing[m.name] = true
	}
	r := newRecord(t)
	host := openFleet(t, design{bin: programs(t), claude: filepath.Join(programs(t), "standin"), model: r.URL, apis: 1, workers: -1})
	mutated := mutants(t)
	places := make(chan struct{}, 3) // so many at once: they wait more than they work
	t.Run("all", func(t *testing.T) {
		for _, s := range scenarios {
			play := func(name, bin, mutant, want string) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					places <- struct{}{}
					defer func() { <-places }()
					found := s.play(t, host, r, bin, mutant)
					caught := slices.ContainsFunc(found, func(d damage) bool { return d.kind == want })
					if want == "" && len(found) > 0 || want != "" && !caught {
						t.Errorf("found %q, want %q", tell(found), want)
					}
				})
			}
			play(s.name, programs(t), "", "")
			for mutant, want := range s.mutants {
				if !missing[mutant] {
					t.Errorf("%q is in two scenarios, or nowhere", mutant)
				}
				delete(missing, mutant)
				play(s.name+": "+mutant, mutated, mutant, want)
			}
		}
	})
	for name := range missing {
		t.Errorf("no scenario shows that %q is caught", name)
	}
}

// TestEveryColumnHasItsMutant: a column of the table that no mutant can fail would say nothing.
func TestEveryColumnHasItsMutant(t *testing.T) {
	shown := map[string]string{}
	for _, s := range scenarios {
		for mutant, kind := range s.mutants {
			shown[kind] = mutant
			if !slices.Contains(damages, kind) {
				t.Errorf("mutant %q does damage %q, which is no column", mutant, kind)
			}
		}
	}
	for _, kind := range damages {
		if shown[kind] == "" {
			t.Errorf("no mutant fails the column %q", kind)
		}
	}
}

// killed: the worker dies while the command works on its answer. A worker that keeps its knowledge to itself, or trusts
// nobody else's, pays again or repeats itself.
func killed(g *stage) {
	t := g.submit(10*time.Second, nil)
	g.asked(t)
	held := g.holder(t)
	if g.missing != "no intent" { // which stores nothing in time
		g.shown(t)
	}
	if g.missing == "an offset before its events" {
		g.moves()
	}
	held.signal(g.t, syscall.SIGKILL)
	g.ends(time.Minute)
}

// called: somebody cancels a job whose prompt would go on for long.
func called(g *stage) {
	g.submit(40*time.Second, func(t *task) { t.cancel = 3 * time.Second })
	g.ends(20 * time.Second)
}

// overslept: a worker is paused for longer than its lease, another one ends the job, and then it wakes up in the middle
// of what it was at.
func overslept(g *stage) {
	t := g.submit(4*time.Second, nil)
	g.shown(t)
	held := g.holder(t)
	held.signal(g.t, syscall.SIGSTOP)
	g.ends(time.Minute)
	before := rows[struct{ N int64 }](g.fleet, `SELECT last_seq FROM jobs`)[0].N
	held.signal(g.t, syscall.SIGCONT)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); <-tick.C {
		if rows[struct{ N int64 }](g.fleet, `SELECT last_seq FROM jobs`)[0].N != before || strings.Contains(held.logged(g.t), "attempt lost its job") {
			return
		}
	}
}

// deployed: SIGTERM in the middle of a prompt.
func deployed(g *stage) {
	t := g.submit(8*time.Second, nil)
	g.shown(t)
	held := g.holder(t)
	held.signal(g.t, syscall.SIGTERM)
	select {
	case <-held.ended:
	case <-time.After(30 * time.Second):
		g.t.Error("it did not stop")
	}
	g.ends(time.Minute)
}

// relaunched: the launch takes effect and its answer does not come, so the worker asks for it again.
func relaunched(g *stage) {
	g.boxes.spring(trap{lost, "POST toolbox/*/process/session/*/exec (launch)"})
	g.submit(5*time.Second, nil)
	g.ends(time.Minute)
	if len(g.ledger.all()) == 0 {
		g.t.Error("nothing was lost")
	}
}

// stumbled: each kind of call has an internal error, once or twice; none of them says anything about a prompt.
func stumbled(g *stage) {
	for _, kind := range []string{"POST sandbox", "GET sandbox/*", "POST toolbox/*/files/bulk-upload", "POST toolbox/*/process/session/*/exec (launch)"} {
		g.boxes.spring(trap{"500", kind})
	}
	t := g.submit(6*time.Second, nil)
	g.shown(t)
	held := g.holder(t)
	for _, kind := range []string{"(follow)", "(look)", "(follow)", "(look)"} {
		g.boxes.spring(trap{"500", "POST toolbox/*/process/execute " + kind})
	}
	g.boxes.spring(trap{"500", "GET sandbox/*"})
	held.signal(g.t, syscall.SIGKILL)
	g.ends(time.Minute)
	if n := g.ledger.count(); n < 5 {
		g.t.Errorf("%d internal errors: %v", n, g.ledger.all())
	}
}

// refused: one sandbox answers every upload with an internal error. Nothing was started in it, so the job moves.
func refused(g *stage) {
	for range 8 { // as often as a worker asks
		g.boxes.spring(trap{"500", "POST toolbox/*/files/bulk-upload"})
	}
	t := g.submit(time.Second, nil)
	g.ends(90 * time.Second)
	if p := look(g.fleet); p.returns(t.id(), "new sandbox after SANDBOX_BROKEN") != 1 {
		g.t.Errorf("it has not moved: %s", p.last(t.id()))
	}
}

// halted: what was asked and not answered in a sandbox that is no more ends as unknown, and is not asked again.
func halted(what string) func(*stage) {
	return func(g *stage) {
		t := g.submit(30*time.Second, nil)
		g.shown(t)
		b := &breaker{fleet: g.fleet}
		faults[what](b, fault{what: what})
		g.ends(time.Minute)
		if p := look(g.fleet); len(g.harms) != 1 || p.jobs[t.id()].State != "outcome_unknown" {
			g.t.Errorf("%d sandboxes were harmed, and the job is %s", len(g.harms), p.jobs[t.id()].State)
		}
	}
}

// apart: the answer comes while the worker can tell nobody.
func apart(g *stage) {
	t := g.submit(5*time.Second, nil)
	g.shown(t)
	g.sql.away(true)
	g.hints.away(true)
	eventually(g.t, "the answer is there", time.Minute, func() bool { return g.record.of(t.Job)[0].answer != nil })
	g.sql.away(false)
	g.hints.away(false)
	g.ends(time.Minute)
}

// resubmitted: a job is accepted and its client does not hear of it.
func resubmitted(g *stage) {
	g.fronts[0].spring(trap{lost, "POST api/knowledge/process"})
	g.submit(200*time.Millisecond, nil)
	g.ends(time.Minute)
	if len(g.ledger.all()) == 0 {
		g.t.Error("nothing was lost")
	}
}

// wiped: the hint is gone before a worker has read it.
func wiped(g *stage) {
	for _, p := range g.workers {
		p.signal(g.t, syscall.SIGSTOP)
	}
	g.submit(200*time.Millisecond, nil)
	g.redis.Flush(g.t)
	for _, p := range g.workers {
		p.signal(g.t, syscall.SIGCONT)
	}
	g.ends(30 * time.Second)
}

// unkept: the database does not take the job; the client insists until it does.
func unkept(g *stage) {
	g.sql.away(true)
	t := g.task(200*time.Millisecond, nil)
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	var sent sync.WaitGroup
	sent.Go(func() { g.load.submit(ctx, t) })
	eventually(g.t, "it was sent twice, or accepted", time.Minute, func() bool { return t.id() != "" || g.fronts[0].asked("POST api/knowledge/process") > 1 })
	g.sql.away(false)
	sent.Wait()
	g.ends(20 * time.Second)
}

// watched: a client of one user comes and goes while its user and another one have jobs.
func watched(g *stage) {
	ctx, cancel := context.WithCancel(context.Background())
	var gone sync.WaitGroup
	g.t.Cleanup(func() { cancel(); gone.Wait() })
	w, stays := newWatcher(g.fleet, 1, 0), newWatcher(g.fleet, 2, 0)
	w.most, stays.stays = 6, true
	g.watchers = append(g.watchers, w, stays)
	var opened sync.WaitGroup
	for _, w := range g.watchers {
		opened.Add(1)
		open := sync.OnceFunc(opened.Done)
		gone.Go(func() { w.stream(ctx, open) })
	}
	opened.Wait()
	g.submit(100*time.Millisecond, nil)
	eventually(g.t, "the client has a position", time.Minute, func() bool { return len(w.collected()) > 0 || g.missing != "" })
	for i := range 4 {
		g.submit(2*time.Second, func(t *task) { t.Key = i == 2; t.user = fmt.Sprintf("user0%d", i%2) })
	}
	g.ends(time.Minute)
}
