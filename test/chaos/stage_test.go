package chaos

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// stage is a small fleet on which a scenario is played: one api and two workers.
type stage struct {
	*fleet
	record   *record
	load     *load
	tasks    []*task
	watchers []*watcher
	missing  string // the protection that this fleet does not have; "" when it has all
}

var plays struct {
	sync.Mutex
	n int
}

// play plays a scenario and gives the damage.
func (s scenario) play(t *testing.T, host *fleet, r *record, bin, mutant string) []damage {
	f := openFleet(t, design{
		bin: bin, model: r.URL, apis: 1, workers: 2, slots: 4, beside: host, vars: []string{"CHAOS_MUTANT=" + mutant},
	})
	g := &stage{fleet: f, record: r, load: newLoad(f, 100), missing: mutant}
	s.do(g)
	left := g.left(10 * time.Second)
	p := look(f)
	found := append(p.judge(g.tasks, r), f.secrets(p)...)
	found = append(found, compare(p, g.watchers, time.Now().Add(10*time.Second))...)
	return append(found, left...)
}

// left looks for what should have gone with the jobs of a scenario. What still changes gets a while to settle.
func (g *stage) left(patience time.Duration) (found []damage) {
	g.t.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); ; <-tick.C {
		found = g.leftRows()
		for _, t := range g.tasks {
			for _, l := range g.record.of(t.Job) {
				if g.alive(l) {
					found = append(found, damage{"left over", t.Job, "a process of run " + l.run})
				}
			}
		}
		if len(found) == 0 || time.Now().After(limit) {
			return found
		}
	}
}

// submit submits a prompt whose answer takes a while.
func (g *stage) submit(takes time.Duration, change func(*task)) *task {
	g.t.Helper()
	t := g.task(takes, change)
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	g.load.submit(ctx, t)
	return t
}

func (g *stage) task(takes time.Duration, change func(*task)) *task {
	plays.Lock()
	plays.n++
	n := plays.n
	plays.Unlock()
	t := &task{
		order: order{Job: fmt.Sprintf("play-%d", n), Millis: int(takes.Milliseconds()), Words: 20, Retries: 3},
		user:  "user00", stream: true, priority: "interactive", ids: map[string]bool{},
	}
	if change != nil {
		change(t)
	}
	t.write(" What is 2+2?\n\n")
	g.tasks = append(g.tasks, t)
	return t
}

// asked waits until the command of a job has asked.
func (g *stage) asked(t *task) {
	g.t.Helper()
	eventually(g.t, "the prompt is asked", time.Minute, func() bool {
		all := g.record.of(t.Job)
		return len(all) > 0 && all[0].asked
	})
}

// shown waits until some of the answer is stored.
func (g *stage) shown(t *task) {
	g.t.Helper()
	eventually(g.t, "some of the answer is stored", time.Minute, func() bool {
		return len(rows[struct{ Seq int64 }](g.fleet, `SELECT seq FROM events WHERE job_id = $1 AND type = 'partial'`, t.id())) > 0
	})
}

// holder is the worker that has a job.
func (g *stage) holder(t *task) (held *part) {
	g.t.Helper()
	eventually(g.t, "a worker holds the job", time.Minute, func() bool {
		for _, l := range rows[struct{ Worker string }](g.fleet, `SELECT worker FROM leases WHERE job_id = $1`, t.id()) {
			for _, p := range g.workers {
				if p.holder(g.t) == l.Worker {
					held = p
				}
			}
		}
		return held != nil
	})
	return held
}

// moves waits until more of the output counts as read.
func (g *stage) moves() {
	g.t.Helper()
	offset := func() int64 { return rows[struct{ N int64 }](g.fleet, `SELECT MAX(read_offset) FROM runs`)[0].N }
	before := offset()
	eventually(g.t, "more of the output is read", time.Minute, func() bool { return offset() > before })
}

// ends waits until all jobs have ended, and every command that was launched too, but not for ever: what has not ended
// then is lost.
func (g *stage) ends(within time.Duration) {
	g.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(within); time.Now().Before(limit); <-tick.C {
		over := g.finished() >= len(g.tasks)
		for _, t := range g.tasks {
			for _, l := range g.record.of(t.Job) {
				over = over && (l.answer != nil || !g.alive(l))
			}
		}
		if over {
			return
		}
	}
	g.t.Logf("after %v some have not ended: %s", within, strings.Join(g.stuck(), "\n"))
}

// alive says whether a launched command still runs.
func (g *stage) alive(l launch) bool {
	return len(processes(func(p process) bool { return runOf(p) == l.run })) > 0
}
