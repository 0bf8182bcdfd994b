package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sandpiper/internal/dispatch"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

const lease = 5 * time.Second

// sweeper is one with everything that it works on.
type sweeper struct {
	*dispatch.Sweeper
	s *table
	q *wire
	w *hands
	c *clock
}

func newSweeper(change func(*dispatch.SweeperOptions)) sweeper {
	x := sweeper{s: &table{}, q: &wire{}, w: &hands{free: 100}, c: newClock()}
	o := dispatch.SweeperOptions{Lease: lease, Now: x.c.Now, Log: quiet}
	if change != nil {
		change(&o)
	}
	x.Sweeper = dispatch.NewSweeper(x.s, x.q, x.w, o)
	return x
}

// turn takes one turn half a second later.
func (x sweeper) turn(t *testing.T) int {
	t.Helper()
	x.c.pass(500 * time.Millisecond)
	n, err := x.Turn(t.Context())
	if (err != nil) != (x.s.err != nil) {
		t.Errorf("Turn: %v", err)
	}
	return n
}

func TestLostHintsArePushedAgain(t *testing.T) {
	x := newSweeper(nil)
	x.s.hints = []job.Hint{{JobID: "b", DispatchSeq: 4, Priority: job.Default}, {JobID: "a", DispatchSeq: 1, Priority: job.Bulk}}
	if n := x.turn(t); n != 2 || !slices.Equal(x.q.pushed, x.s.hints) {
		t.Errorf("moved %d, pushed %v, want both hints", n, x.q.pushed)
	}
	wantTaken(t, x.w)
}

func TestFewHintsWaitHoweverManyJobsDo(t *testing.T) {
	x := newSweeper(nil)
	for i := range 1000 {
		x.s.unhinted = append(x.s.unhinted, job.Hint{JobID: fmt.Sprint(i), Priority: job.Bulk})
	}
	x.turn(t)
	if len(x.q.pushed) != 8 {
		t.Errorf("pushed %d at first, want 8", len(x.q.pushed))
	}
	x.q.depths = map[job.Priority]int{job.Bulk: 8}
	for range 3 {
		x.turn(t)
	}
	if len(x.q.pushed) != 8 {
		t.Errorf("pushed %d, and nobody takes any", len(x.q.pushed))
	}
	x.q.depths[job.Bulk] = 100_000
	x.s.unhinted = append(x.s.unhinted, job.Hint{JobID: "urgent", Priority: job.Interactive})
	x.turn(t)
	if last := x.q.pushed[len(x.q.pushed)-1]; len(x.q.pushed) != 9 || last.JobID != "urgent" {
		t.Errorf("pushed %d, the last is %+v; want one more, the urgent one", len(x.q.pushed), last)
	}
}

func TestAsManyHintsWaitAsAreTakenInAShortTime(t *testing.T) {
	x := newSweeper(nil)
	for i := range 1000 {
		x.s.unhinted = append(x.s.unhinted, job.Hint{JobID: fmt.Sprint(i), Priority: job.Bulk})
	}
	var pushed []int
	for _, left := range []int{0, 0, 0, 0, 128, 129, 200, 200, 200, 3} {
		before := len(x.q.pushed)
		x.q.depths = map[job.Priority]int{job.Bulk: left}
		x.c.pass(100 * time.Millisecond)
		if _, err := x.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		pushed = append(pushed, left+len(x.q.pushed)-before)
	}
	// six times as many as are taken in 100 ms, up to 256; nothing is done while half of them is left; at last all are taken
	want := []int{8, 48, 256, 256, 256, 129, 200, 200, 200, 256}
	if !slices.Equal(pushed, want) {
		t.Errorf("after each turn %v waited, want %v", pushed, want)
	}
}

func TestTheNextRoundGoesOnBehindTheLastUser(t *testing.T) {
	x := newSweeper(nil)
	x.s.unhinted = []job.Hint{{JobID: "ann", Priority: job.Bulk}, {JobID: "bob", Priority: job.Bulk}}
	x.turn(t)
	x.turn(t)
	if got := x.s.rounds[job.Bulk].After; got != (store.User{ID: "bob"}) {
		t.Errorf("the round goes on behind %+v, want bob", got)
	}
	if got := x.s.rounds[job.Default].After; got != (store.User{}) {
		t.Errorf("another priority's goes on behind %+v, want nobody", got)
	}
}

func TestTheMoreHintsWaitTheLaterTheyCountAsLost(t *testing.T) {
	for name, tc := range map[string]struct {
		depth, limit int
		age          time.Duration
	}{
		"none waits: unclaimed jobs have lost theirs":    {0, 8, 2 * time.Second},
		"some wait: the job's is probably among them":    {3, 5, 10 * time.Second},
		"there is no room: one more would be in the way": {8, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSweeper(nil)
			x.q.depths = map[job.Priority]int{job.Bulk: tc.depth}
			if x.turn(t); x.s.age[job.Bulk] != tc.age || x.s.limit[job.Bulk] != tc.limit {
				t.Errorf("asked for %d older than %v, want %d older than %v", x.s.limit[job.Bulk], x.s.age[job.Bulk], tc.limit, tc.age)
			}
		})
	}
}

func TestWhenRedisReturnsHintsCountAsLostHoweverManyWait(t *testing.T) {
	x := newSweeper(nil)
	x.q.depths, x.q.err = map[job.Priority]int{job.Bulk: 1000}, errAway
	x.turn(t)
	x.q.err = nil
	if x.turn(t); x.s.age[job.Bulk] != 0 || x.s.limit[job.Bulk] != 256 {
		t.Errorf("asked for %d older than %v, want 256 of any age", x.s.limit[job.Bulk], x.s.age[job.Bulk])
	}
	x.s.limit = map[job.Priority]int{}
	if x.turn(t); x.s.limit[job.Bulk] != 0 {
		t.Errorf("then for %d more, want none while so many wait", x.s.limit[job.Bulk])
	}
}

func TestOnlyTheHolderOfTheTurnPushesAgain(t *testing.T) {
	x := newSweeper(nil)
	x.s.others = true
	if x.turn(t); slices.Contains(x.s.asked, "wanted") {
		t.Error("pushed without the turn")
	}
	x.s.others = false
	if x.turn(t); !slices.Contains(x.s.asked, "wanted") {
		t.Error("did not take the turn that became free")
	}
}

func TestWhileRedisIsAwayDueJobsAreOfferedToTheWorker(t *testing.T) {
	x := newSweeper(nil)
	x.s.others = true // of every process: each has its own slots
	x.s.due = []job.Hint{{JobID: "a", Priority: job.Bulk}, {JobID: "b", Priority: job.Bulk}, {JobID: "c", Priority: job.Bulk}}
	x.turn(t)
	wantTaken(t, x.w)
	x.q.err, x.w.free = errAway, 2
	if n := x.turn(t); n != 2 {
		t.Errorf("moved %d, want as many as there are slots", n)
	}
	wantTaken(t, x.w, "a", "b")
	x.q.err, x.w.free = nil, 9
	x.turn(t)
	wantTaken(t, x.w)
}

func TestATakeOverNeedsOneLeaseOfUnbrokenContact(t *testing.T) {
	const turns = int(lease / (500 * time.Millisecond))
	for name, tc := range map[string]struct {
		trust bool
		harm  func(t *testing.T, x sweeper) // after contact was long enough
	}{
		"at the start":            {false, nil},
		"after an outage":         {false, outage},
		"after a pause":           {false, func(_ *testing.T, x sweeper) { x.c.pass(lease) }},
		"after trust, an outage":  {true, outage},
		"after trust, a pause":    {true, func(_ *testing.T, x sweeper) { x.c.pass(lease) }},
		"after the clock went on": {false, func(_ *testing.T, x sweeper) { x.c.pass(time.Hour) }},
		"after it was set back":   {false, func(_ *testing.T, x sweeper) { x.c.pass(-time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSweeper(func(o *dispatch.SweeperOptions) { o.TrustLeases = tc.trust })
			if tc.harm != nil {
				for range turns + 1 {
					x.turn(t)
				}
				tc.harm(t, x)
			}
			x.s.lapsed = []string{"a"}
			for range turns {
				x.turn(t)
			}
			wantTaken(t, x.w)
			x.turn(t)
			wantTaken(t, x.w, "over a")
		})
	}
}

// outage is of more than half a lease.
func outage(t *testing.T, x sweeper) {
	x.s.err = errAway
	for range 6 {
		x.turn(t)
	}
	x.s.err = nil
}

// TestAStatementThatFailsBreaksNoContact: where connections are cut again and again, the dead are taken over all the same.
func TestAStatementThatFailsBreaksNoContact(t *testing.T) {
	x := newSweeper(nil)
	for turn := range 11 {
		x.s.err = nil
		if turn%2 == 1 {
			x.s.err = errAway
		}
		x.turn(t)
	}
	x.s.lapsed = []string{"a"}
	x.s.err = nil
	x.turn(t)
	wantTaken(t, x.w, "over a")
}

func TestADatabaseThatHangsBreaksContactToo(t *testing.T) {
	x := newSweeper(nil)
	for range 11 {
		x.turn(t)
	}
	x.s.lapsed = []string{"a"}
	x.s.slow = func() { x.c.pass(lease) }
	x.turn(t)
	wantTaken(t, x.w)
}

func TestTrustedLeasesAreTakenOverAtOnce(t *testing.T) {
	x := newSweeper(func(o *dispatch.SweeperOptions) { o.TrustLeases = true })
	x.s.lapsed, x.w.free = []string{"a"}, 2
	if n := x.turn(t); n != 1 {
		t.Errorf("moved %d, want 1", n)
	}
	wantTaken(t, x.w, "over a")
}

func TestRunTurnsUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSweeper(func(o *dispatch.SweeperOptions) { o.Now = time.Now })
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		begun := time.Now()
		if err := x.Run(ctx); err != nil || time.Since(begun) != 10*time.Second {
			t.Errorf("Run: %v after %v", err, time.Since(begun))
		}
		if n := len(x.s.asked); n < 100 || n > 105 { // the turn, new hints, and old ones of each priority
			t.Errorf("asked %d times in 10 s, want 5 times in each of 20 turns", n)
		}
	})
}

func TestTheNextTurnComesSoonWhenAJobHasEnded(t *testing.T) {
	for name, tc := range map[string]struct {
		news  job.News
		setup func(sweeper)
		turns int // within the first 400 ms
	}{
		"this process pushes for all":  {job.News{JobID: "a", Ended: true}, func(sweeper) {}, 2},
		"redis is away":                {job.News{JobID: "a", Ended: true}, func(x sweeper) { x.q.err = errAway }, 2},
		"a job waits for a hint":       {job.News{JobID: "a", Wanted: true}, func(sweeper) {}, 2},
		"another process pushes":       {job.News{JobID: "a", Ended: true}, func(x sweeper) { x.s.others = true }, 1},
		"a worker gives its jobs back": {job.News{Released: true}, func(x sweeper) { x.s.others = true }, 6},
		"something else has happened":  {job.News{JobID: "a", Seq: 4}, func(sweeper) {}, 1},
		"the listener shall read anew": {job.News{}, func(sweeper) {}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wake := make(chan job.News, 10)
				x := newSweeper(func(o *dispatch.SweeperOptions) { o.Now, o.Wake = time.Now, wake })
				tc.setup(x)
				turns := 0
				x.s.slow = func() { turns++ }
				ctx, stop := context.WithTimeout(t.Context(), 400*time.Millisecond)
				defer stop()
				for range 5 { // together they are worth one turn
					wake <- tc.news
				}
				if err := x.Run(ctx); err != nil || turns != tc.turns {
					t.Errorf("%d turns, %v, want %d", turns, err, tc.turns)
				}
			})
		})
	}
}

// TestADatabaseThatIsAwayIsLoggedOnce, for all turns that fail, and so is its return.
func TestADatabaseThatIsAwayIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		x := newSweeper(func(o *dispatch.SweeperOptions) {
			o.Now, o.Log = time.Now, slog.New(slog.NewTextHandler(&log, nil))
		})
		began := time.Now()
		x.s.err = errAway
		x.s.slow = func() {
			if time.Since(began) > 20*time.Second {
				x.s.err = nil
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		if err := x.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if said := log.String(); strings.Count(said, "sweep failed") != 1 || strings.Count(said, "sweeps work again") != 1 {
			t.Errorf("40 turns without a database and 20 with it log\n%s", said)
		}
	})
}
