package e2e

import (
	"strings"
	"syscall"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// TestAStoppedProcessThatGoesOn: a worker's process is stopped (SIGSTOP) while it follows a prompt, until another has taken
// over and the job is where the case says. When it goes on it changes nothing, launches nothing, ends nothing, and lets go.
func TestAStoppedProcessThatGoesOn(t *testing.T) {
	f := usualFleet(t)
	for name, ended := range map[string]bool{"the prompt is still answered": false, "the job has ended": true} {
		t.Run(name, func(t *testing.T) {
			asked := len(f.model.Requests())
			id, worker, release := f.runs(t)
			worker.pauses(t, syscall.SIGSTOP)
			eventually(t, "another worker follows the prompt", func() bool { return f.adoptedBy(t, id, 2) })
			if ended {
				release()
				f.ended(t, id)
			}
			before := f.rowsOf(t, id)
			worker.pauses(t, syscall.SIGCONT)
			eventually(t, "it has noticed", func() bool { return worker.noticed(id) })
			eventually(t, "it has let go", func() bool { return worker.working(t) == 0 })
			if after := f.rowsOf(t, id); after != before {
				t.Errorf("the job was %s, and after it had woken up %s", before, after)
			}
			if !ended {
				if len(running(t, f.model.URL())) == 0 {
					t.Error("the prompt was ended")
				}
				release()
			}
			j := f.ended(t, id)
			if j.State != client.Succeeded || j.Result.Text != "4" || j.Attempt != 2 || j.Tries != 0 {
				t.Errorf("job = %s %+v, attempt %d, tries %d; want the answer by attempt 2 without a try", j.State, j.Result, j.Attempt, j.Tries)
			}
			if n := len(f.model.Requests()) - asked; n != 1 {
				t.Errorf("the model was asked %d times", n)
			}
			if n := f.sql(t, `SELECT COUNT(*)::text FROM runs WHERE job_id = $1`, id); n != "1" {
				t.Errorf("%s runs of the job", n)
			}
		})
	}
}

// runs is running, for the next prompt of a fleet that has had some.
func (f *fleet) runs(t testing.TB) (id string, worker *member, release func()) {
	t.Helper()
	asked, held := make(chan struct{}, 10), make(chan struct{})
	f.model.Handle(func(scripted.Request) scripted.Answer {
		asked <- struct{}{}
		return scripted.Held(held, scripted.Text("4"))
	})
	id = f.submit(t, client.Submit{Input: "What is 2+2?"})
	<-asked
	return id, f.called(t, f.sql(t, `SELECT worker FROM leases WHERE job_id = $1`, id)), func() { close(held) }
}

// adoptedBy reports whether attempt n of a job says that it has found the run.
func (f *fleet) adoptedBy(t testing.TB, id string, n int) bool {
	t.Helper()
	for _, e := range f.events(t, id) {
		if e.Attempt == int64(n) && strings.HasPrefix(e.Reason, "run adopted") {
			return true
		}
	}
	return false
}

// rowsOf is what a job's rows say: a worker that may not write changes none of it. Its lease is extended by its owner.
func (f *fleet) rowsOf(t testing.TB, id string) string {
	t.Helper()
	return f.sql(t, `SELECT j.state || ', attempt ' || j.attempt || ', ' || j.last_seq || ' events, of which there are ' ||
		(SELECT COUNT(*) FROM events e WHERE e.job_id = j.id) || ', tries ' || j.tries || ', held by ' ||
		COALESCE((SELECT l.worker || '/' || l.attempt FROM leases l WHERE l.job_id = j.id), 'nobody') || ', runs ' ||
		(SELECT string_agg(r.id || ' ' || r.phase || ' ' || r.attempt, ',') FROM runs r WHERE r.job_id = j.id)
		FROM jobs j WHERE j.id = $1`, id)
}

// pauses stops the process, or has it go on.
func (m *member) pauses(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// noticed reports whether the process has logged that a job is not its own any more.
func (m *member) noticed(id string) bool {
	for line := range strings.Lines(m.log.String()) {
		if strings.Contains(line, "attempt lost its job to another") && strings.Contains(line, id) {
			return true
		}
	}
	return false
}

// working is how many jobs the process works on.
func (m *member) working(t testing.TB) int {
	t.Helper()
	_, metrics := page(t, m.url+"/metrics")
	return int(number(t, []byte(metrics), "\nsandpiper_run_slots_used"))
}
