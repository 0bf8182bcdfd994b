package fleet

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// TestTheChecksCatch: each promise has a scenario of seconds that fails when what keeps it is taken away. A check that
// nothing can fail is none.
func TestTheChecksCatch(t *testing.T) {
	for name, m := range map[string]struct {
		point string // where the old worker stands while another takes over
		harm  func(*member)
		fault string // what a check must say
	}{
		"no fence in SQL": {"Append", noFence, "comes twice"},
		"no lock and no owner in the run directory": {"launch", noLock, "launches"},
		"no intent before the launch":               {"MarkLaunched", noIntent, "launches"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, harmed := range []bool{false, true} {
				f := newHouse(t)
				f.harm = m.harm
				if !harmed {
					f.harm = nil
				}
				faults := f.disturbed(m.point)
				caught := slices.ContainsFunc(faults, func(s string) bool { return strings.Contains(s, m.fault) })
				if caught != harmed || !harmed && len(faults) > 0 {
					t.Errorf("protection taken away: %v; the checks say %q, want %q only then", harmed, faults, m.fault)
				}
			}
		})
	}
}

// disturbed is the way of a job whose worker is stopped at a point, and wakes up when another has gone on. It says what the
// checks find.
func (f *fleet) disturbed(point string) (faults []string) {
	f.t.Helper()
	id := f.submit()
	old := f.join("old", brisk)
	stopped := old.ice.freezeAt(point)
	if point == "Append" {
		stopped = f.freezeAtOutput(old)
	}
	if point != "launch" {
		f.stand.next(f.t).say(f.t, requesting, begun, retry(1))
	}
	await(f.t, stopped)
	f.join("new", brisk)
	if point == "launch" {
		f.stand.next(f.t).say(f.t, requesting, begun, retry(1))
	}
	f.until("the next attempt follows, or launches again", func() bool {
		return f.read(id).Attempt >= 2 && (f.heard(id, "(1 of") || len(f.stand.launches()) > 1)
	})
	old.ice.watch(nil)
	old.ice.thaw()
	f.until("the old worker lets go, or launches again", func() bool {
		used, _ := old.Slots()
		return used == 0 || len(f.stand.launches()) > 1
	})
	if point == "launch" {
		f.until("its launch has arrived", func() bool { return old.ice.said("launch") != "" })
		if strings.Contains(old.ice.said("launch"), "sandpiper started") {
			f.until("its command runs", func() bool { return len(f.stand.launches()) > 1 })
		}
	}
	for _, p := range f.stand.launches() {
		if p.lives() {
			p.answers(f.t)
		}
	}
	f.ended(id)
	if n := len(f.stand.launches()); n != 1 {
		faults = append(faults, "not one launch: launches differ")
	}
	return append(faults, f.faults(id)...)
}

// noFence writes for whichever attempt owns the job.
func noFence(m *member) {
	m.rows = func(r frozen) rows { return unfenced{r} }
}

type unfenced struct{ frozen }

func (u unfenced) Append(ctx context.Context, a job.Attempt, b store.Batch) (int64, error) {
	last, err := u.frozen.Append(ctx, a, b)
	if !errors.Is(err, job.ErrLost) {
		return last, err
	}
	j, read := u.Job(ctx, ann, a.JobID)
	if read != nil {
		return last, err
	}
	a.Number, b.AfterSeq, b.RunID = j.Attempt, j.LastSeq, "" // as an UPDATE does that names nobody
	return u.frozen.Append(ctx, a, b)
}

// noIntent writes the intent down with the launch, which is too late.
func noIntent(m *member) {
	m.rows = func(r frozen) rows { return &unintended{frozen: r} }
}

type unintended struct {
	frozen
	run job.Run
}

func (u *unintended) Intend(ctx context.Context, a job.Attempt, r job.Run, events ...job.Event) error {
	u.run = r
	j, err := u.Job(ctx, ann, a.JobID)
	if err == nil {
		_, err = u.Store.Append(ctx, a, store.Batch{AfterSeq: j.LastSeq, Events: events})
	}
	return err
}

func (u *unintended) MarkLaunched(ctx context.Context, a job.Attempt, runID string) error {
	u.ice.at("MarkLaunched")
	if err := u.Store.Intend(ctx, a, u.run); err != nil {
		return err
	}
	return u.Store.MarkLaunched(ctx, a, runID)
}

// noLock changes run.sh on its way: every launch wins.
func noLock(m *member) {
	m.ice.mutate = func(body []byte) []byte {
		for _, c := range []struct{ of, to string }{
			{`theirs "$attempt" && { say lost; return; }`, `:`},
			{`if ! mkdir lock; then`, `if ! true; then`},
			{`[[ -e $base/launched/$id ]] && { already; return; }`, `:`},
			{`flock -x "$HELD"`, `true`},
			{`if ((now < born - 10 || now - born > within)); then`, `if false; then`},
		} {
			text := c.to + strings.Repeat(" ", len(c.of)-len(c.to)) // as long as before, for whoever has counted
			body = bytes.ReplaceAll(body, []byte(c.of), []byte(text))
		}
		return body
	}
}
