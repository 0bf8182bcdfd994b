package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/job"
)

// brisk has leases that lapse within a test.
func brisk(h *habits) {
	h.Lease, h.Beat = 1500*time.Millisecond, 200*time.Millisecond
}

// TestAWorkerThatWakesUpDoesNothing: it is stopped on its way, wherever, for longer than its lease. Another worker takes
// over. When it wakes up it changes nothing, launches nothing, ends nothing, and lets go.
func TestAWorkerThatWakesUpDoesNothing(t *testing.T) {
	for _, point := range []string{"preflight", "Intend", "upload", "launch", "MarkLaunched", "follow", "Append", "Finish"} {
		t.Run("stopped before "+point, func(t *testing.T) {
			f := newHouse(t)
			id := f.submit()
			p := f.paused(id, point, nil)
			f.succeeded(id)
			if n := len(f.stand.launches()); n != 1 {
				t.Errorf("%d launches", n)
			}
			if p.lives() {
				t.Error("the command is still there")
			}
			f.wellTold(id)
		})
	}
}

// paused has a worker stop before a point of the job's way and wake up when another has gone on. It answers the prompt
// when both have had their say.
func (f *fleet) paused(id, point string, change func(*habits)) *prompt {
	f.t.Helper()
	if change == nil {
		change = func(*habits) {}
	}
	old := f.join("old", brisk, change)
	stopped := old.ice.freezeAt(point)
	if point == "Append" { // the one of the run's first output
		stopped = f.freezeAtOutput(old)
	}
	var p *prompt
	launched := slices.Contains([]string{"MarkLaunched", "follow", "Append", "Finish"}, point)
	if launched {
		p = f.stand.next(f.t)
		p.say(f.t, requesting, begun, retry(1))
	}
	if point == "Finish" {
		p.answers(f.t)
	}
	await(f.t, stopped)
	f.join("new", brisk, change)
	if !launched {
		p = f.stand.next(f.t)
		p.say(f.t, requesting, begun, retry(1))
	}
	f.until("the next attempt", func() bool { return f.read(id).Attempt >= 2 })
	if point != "Finish" {
		f.until("the output is stored by it", func() bool { return f.heard(id, "(1 of") })
	}
	old.ice.watch(nil)
	old.ice.thaw()
	f.until("the old worker lets go", func() bool { used, _ := old.Slots(); return used == 0 })
	if point != "Finish" {
		if !p.lives() {
			f.t.Error("the command was ended")
		}
		p.say(f.t, retry(2))
		p.answers(f.t)
	}
	await(f.t, p.gone)
	return p
}

// freezeAtOutput freezes a worker before it stores the first output of a run.
func (f *fleet) freezeAtOutput(m *member) <-chan struct{} {
	frozen := make(chan struct{})
	followed := false // only one job is on its way
	m.ice.watch(func(p string) {
		if followed = followed || p == "follow"; followed && p == "Append" {
			m.ice.freeze()
			m.ice.watch(nil)
			close(frozen)
		}
	})
	return frozen
}

func await(t testing.TB, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(90 * time.Second):
		t.Fatal("it never came to that")
	}
}

func (f *fleet) events(id string) []job.Event {
	f.t.Helper()
	events, err := f.store.Events(f.t.Context(), ann, id, 0, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	return events
}

// heard reports whether a log line of the job has a text.
func (f *fleet) heard(id, text string) bool { return f.count(id, text) > 0 }

func (f *fleet) count(id, text string) (n int) {
	for _, e := range f.events(id) {
		if strings.Contains(e.Data, text) {
			n++
		}
	}
	return n
}

func (f *fleet) succeeded(id string) {
	f.t.Helper()
	if j := f.ended(id); j.State != job.Succeeded || j.Tries != 0 || j.Outcome.Result.Text != "4" {
		f.t.Errorf("job = %s %+v, tries %d; want the answer, without a try", j.State, j.Outcome, j.Tries)
	}
}

// wellTold checks a job's events: numbered without a gap, attempts in order, each line of the command once, one end.
func (f *fleet) wellTold(id string) {
	f.t.Helper()
	for _, fault := range f.faults(id) {
		f.t.Error(fault)
	}
}

// faults are what is wrong with the events of a job that has ended.
func (f *fleet) faults(id string) (faults []string) {
	events, attempt, ends := f.events(id), int64(0), 0
	for i, e := range events {
		if e.Seq != int64(i)+1 {
			faults = append(faults, "a gap in the sequence")
		}
		if e.Type == job.EventState {
			if e.Attempt < attempt {
				faults = append(faults, "an older attempt wrote after a newer one")
			}
			attempt = e.Attempt
		}
		if e.Type == job.EventDone {
			ends++
		}
	}
	for _, n := range []string{"(1 of", "(2 of"} {
		if f.count(id, n) > 1 {
			faults = append(faults, "the line "+n+" comes twice")
		}
	}
	if ends != 1 || events[len(events)-1].Type != job.EventDone {
		faults = append(faults, "there is not one end")
	}
	return faults
}
