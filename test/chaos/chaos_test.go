package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/queue"
)

// How many clients follow whole users, and how many single jobs.
const (
	streamers = 5
	followers = 5
)

// TestChaos breaks everything for a while, and then finds everything in order.
func TestChaos(t *testing.T) {
	r := newRecord(t)
	over := time.Duration(*minutes * float64(time.Minute))
	t.Logf("SEED=%d MINUTES=%v JOBS=%d", *seed, *minutes, *jobs)
	d := design{bin: programs(t), claude: filepath.Join(programs(t), "standin"), model: r.URL}
	if *clocks {
		d.clocks = wrongClocks(t)
	}
	f := openFleet(t, d)
	found := f.chaos(r, r.URL, tasks(*seed, *jobs, over*9/10), over)
	if len(found) > 0 {
		t.Errorf("SEED=%d: %d damages\n%s", *seed, len(found), tell(found))
	}
}

// chaos runs tasks on a fleet while it is being broken, and gives the damage.
func (f *fleet) chaos(r witness, model string, tasks []*task, over time.Duration) []damage {
	return f.under(r, model, tasks, func(ctx context.Context, b *breaker) {
		if !*calm {
			b.run(ctx, plan(*seed, over))
		}
	})
}

// under runs tasks on a fleet while something is done to it, and gives the damage.
func (f *fleet) under(r witness, model string, tasks []*task, meanwhile func(context.Context, *breaker)) []damage {
	t := f.t
	goroutines := map[string]int{"api": goroutinesOf(f.apis[0]), "worker": goroutinesOf(f.workers[0])}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer func() { cancel(); all.Wait() }()

	l := newLoad(f, len(tasks)+streamers)
	first := warm(*seed)
	watchers, next := f.watch(ctx, &all)
	for _, one := range first {
		l.submit(ctx, one)
	}
	eventually(t, "every client has had an event", time.Minute, func() bool {
		return !slices.ContainsFunc(watchers[:streamers], func(w *watcher) bool { return len(w.collected()) == 0 })
	})

	began := time.Now()
	all.Go(func() { l.run(ctx, tasks); close(l.accepted) })
	all.Go(func() { hand(ctx, l.accepted, watchers[streamers:], next) })
	hinter, err := queue.Open(f.redis.URL(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer hinter.Close()
	b := &breaker{fleet: f, hinter: hinter}
	meanwhile(ctx, b)
	done, took := f.finished(), time.Since(began)
	f.heal()
	f.ready()
	f.settle(len(tasks) + len(first))

	p := look(f)
	found := p.judge(append(tasks, first...), r)
	found = append(found, compare(p, watchers, time.Now().Add(time.Minute))...)
	cancel()
	found = append(found, f.left(model, goroutines, 2*time.Minute)...)
	found = append(found, f.secrets(p)...)
	found = append(found, f.ended()...)
	f.report(b.summary(found, p, done, took))
	return found
}

// summary is what there is to say of a run.
func (b *breaker) summary(found []damage, p picture, done int, took time.Duration) string {
	var s strings.Builder
	all := p.lasted()
	fmt.Fprintf(&s, "SEED=%d: %d faults in %v, when %d jobs had ended; all %d after %v: %.2f jobs/s\n%s", *seed, b.ledger.count(),
		took.Round(time.Second), done, len(p.jobs), all.Round(time.Second), float64(len(p.jobs))/all.Seconds(), table(b.ledger, found, p))
	for how, times := range b.adoptions(p) {
		fmt.Fprintf(&s, "from %s until another worker follows: %s\n", how, told(times))
	}
	fmt.Fprintf(&s, "calls of which no answer was lost: postgres %v, redis %v, sandboxes %v\n", untouched(b.sql.seen, b.ledger, "postgres"),
		untouched(b.hints.seen, b.ledger, "redis"), untouched(b.boxes.seen, b.ledger, "sandboxes"))
	return s.String()
}

// lasted is the time from the first submission to the last end.
func (p picture) lasted() time.Duration {
	var first, last int64
	for _, j := range p.jobs {
		if first == 0 || j.Created < first {
			first = j.Created
		}
		last = max(last, j.Ended)
	}
	return time.Duration(last-first) * time.Millisecond
}

// report shows a text, also of a test that passes.
func (f *fleet) report(text string) {
	f.t.Helper()
	f.t.Log(text)
	if *report == "" {
		return
	}
	file, err := os.OpenFile(*report, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.WriteString(text + "\n")
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		f.t.Error(err)
	}
}

// warm is one job for each user whose stream is followed, so that every client has a position before anything breaks.
func warm(seed uint64) []*task {
	all := tasks(seed+1_000_000, streamers, 0)
	for i, t := range all {
		t.user, t.cancel, t.Free, t.Retries, t.Key, t.Millis = fmt.Sprintf("user%02d", i), 0, 0, 0, false, 100
		t.write("warm")
	}
	return all
}

// watch starts the clients.
func (f *fleet) watch(ctx context.Context, all *sync.WaitGroup) ([]*watcher, []chan string) {
	var watchers []*watcher
	var opened sync.WaitGroup
	for i := range streamers {
		w := newWatcher(f, *seed, i)
		watchers = append(watchers, w)
		opened.Add(1)
		open := sync.OnceFunc(opened.Done)
		all.Go(func() { defer open(); w.stream(ctx, open) })
	}
	opened.Wait()
	next := make([]chan string, followers)
	for i := range next {
		w := newWatcher(f, *seed, streamers+i)
		w.single = true
		watchers = append(watchers, w)
		next[i] = make(chan string)
		all.Go(func() { w.follow(ctx, next[i]) })
	}
	return watchers, next
}

// hand gives each follower a job of its user to follow, whenever it is free for one.
func hand(ctx context.Context, accepted <-chan *task, to []*watcher, next []chan string) {
	defer func() {
		for _, c := range next {
			close(c)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case t, more := <-accepted:
			if !more {
				return
			}
			for i, w := range to {
				if w.user == t.user {
					select {
					case next[i] <- t.id():
					default: // it is busy
					}
				}
			}
		}
	}
}

// finished is how many jobs have ended.
func (f *fleet) finished() int {
	f.t.Helper()
	return int(rows[struct{ N int64 }](f, `SELECT COUNT(*) FROM jobs WHERE state NOT IN ('queued', 'running')`)[0].N)
}

// settle waits until all jobs have ended, as long as there is progress: what comes last may have been put off by a minute
// because the platform was away, and waited for its turn. What has not ended then is lost, and the log says what it waits for.
func (f *fleet) settle(n int) {
	f.t.Helper()
	const patience = 100 * time.Second
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	moved, last := time.Now(), -1
	for ; time.Since(moved) < patience; <-tick.C {
		done := f.finished()
		if done >= n {
			return
		}
		if done != last {
			moved, last = time.Now(), done
		}
	}
	f.t.Logf("nothing has ended for %v, and %d of %d jobs have:\n%s", patience, last, n, strings.Join(f.stuck(), "\n"))
}

// stuck are the jobs that have not ended, each with what it may be waiting for.
func (f *fleet) stuck() []string {
	return column(f, `SELECT concat_ws(' ', j.id, j.state, 'attempt', j.attempt, 'waits for', '"' || j.waiting_for || '", due in', j.run_after - now.ms,
			'ms, pushed', now.ms - j.pushed_at, 'ms ago,', 'held by', COALESCE(l.worker || ' for ' || (l.expires_at - now.ms) || ' ms,', 'nobody,'),
			'sandbox', COALESCE(s.state || ' of ' || s.busy_job, 'none'), 'run', COALESCE(r.phase, 'none'), 'lane', COALESCE(la.state, 'none'))
		FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms) now, jobs j
		LEFT JOIN leases l ON l.job_id = j.id LEFT JOIN sandboxes s ON s.id = j.sandbox_id
		LEFT JOIN LATERAL (SELECT phase FROM runs WHERE job_id = j.id ORDER BY number DESC LIMIT 1) r ON TRUE
		LEFT JOIN lanes la ON la.model = j.model
		WHERE j.state IN ('queued', 'running') ORDER BY j.number LIMIT 20`)
}

// compare holds what clients collected against the database. They have until limit to come back.
func compare(p picture, watchers []*watcher, limit time.Time) (found []damage) {
	for _, w := range watchers {
		want := p.stream(w.user)
		if w.single {
			want = nil
			for _, id := range w.followed() {
				want = append(want, p.events[id]...)
			}
		}
		for len(w.collected()) < len(want) && time.Now().Before(limit) {
			rest(100*time.Millisecond, nil)
		}
		got := w.collected()
		if w.single {
			got = got[:min(len(got), len(want))] // it may be in the middle of the next job
		}
		if why := differs(got, want); why != "" {
			found = append(found, damage{"client differs", w.user, why})
		}
		for _, why := range w.complaints() {
			found = append(found, damage{"client differs", w.user, why})
		}
	}
	return found
}

// stream are all events of a user, in the order of their positions.
func (p picture) stream(user string) (all []eventRow) {
	for id, events := range p.events {
		if p.jobs[id].User == user {
			all = append(all, events...)
		}
	}
	slices.SortFunc(all, func(a, b eventRow) int { return int(a.Position - b.Position) })
	return all
}
