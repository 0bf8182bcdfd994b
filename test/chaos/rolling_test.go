package chaos

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	from    = flag.String("from", "", "folder of the programs that a rolling start begins with; without, it is a deployment of the same version")
	rolling = flag.Int("rolling", 40, "how many jobs are submitted during a rolling start")
)

// rollingRate is how many jobs are submitted a second.
const rollingRate = 4

// TestRollingStart replaces a fleet's programs by those of this tree while jobs are submitted and run, as docs/processes.md
// says: the schema first, then each worker and api, one after another. Nothing is broken on purpose, so nothing may be lost,
// fail or be told twice.
func TestRollingStart(t *testing.T) {
	r := newRecord(t)
	f := openFleet(t, design{bin: cmp.Or(*from, programs(t)), claude: filepath.Join(programs(t), "standin"), model: r.URL})
	over := time.Duration(*rolling) * time.Second / rollingRate
	all := tasks(*seed, *rolling, over)
	var steps []string
	found := f.under(r, r.URL, all, func(ctx context.Context, _ *breaker) { steps = f.roll(ctx, programs(t), over) })
	if len(found) > 0 {
		t.Errorf("SEED=%d: %d damages\n%s", *seed, len(found), tell(found))
	}
	f.report(strings.Join(append(steps, look(f).figures()), "\n"))
}

// roll replaces the programs of a fleet, and says what it did and when.
func (f *fleet) roll(ctx context.Context, bin string, over time.Duration) (steps []string) {
	began := time.Now()
	turns := []*part{f.workers[0], f.apis[0], f.workers[1], f.apis[1], f.workers[2]}
	pause := over / time.Duration(len(turns)+2)
	note := func(format string, args ...any) {
		steps = append(steps, fmt.Sprintf("%5.1f s  %s", time.Since(began).Seconds(), fmt.Sprintf(format, args...)))
	}
	rest(pause, ctx.Done())
	f.bin = bin
	note("%s, when %d jobs had ended", strings.TrimSpace(f.program("migrate", "up")), f.finished())
	for _, p := range turns {
		rest(pause, ctx.Done())
		p.signal(f.t, syscall.SIGTERM)
		<-p.ended
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			f.t.Errorf("the older %s ended with %d\n%s", p.name, code, tail(p.logged(f.t), 2000))
		}
		p.bin = filepath.Join(bin, p.role)
		p.start(f.t)
		f.ready()
		note("%s is the newer one, when %d jobs had ended", p.name, f.finished())
	}
	return steps
}

// figures are what became of all jobs.
func (p picture) figures() string {
	states, moved, events := map[string]int{}, 0, 0
	for id, j := range p.jobs {
		states[j.State]++
		events += len(p.events[id])
		if j.Attempt > 1 {
			moved++
		}
	}
	text := fmt.Sprintf("%d jobs accepted:", len(p.jobs))
	for _, state := range slices.Sorted(maps.Keys(states)) {
		text += fmt.Sprintf(" %d %s,", states[state], state)
	}
	return text + fmt.Sprintf(" %d by more than one attempt; %d events", moved, events)
}
