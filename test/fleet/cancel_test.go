package fleet

import (
	"testing"

	"sandpiper/internal/job"
)

// TestACancelIsBelieved: at every stage of a job's way it ends in one state, with nothing left running, and with what the
// command had used by then.
func TestACancelIsBelieved(t *testing.T) {
	for name, tc := range map[string]struct {
		point    string // before which the worker stands when the cancel comes; "" for none
		launched bool   // the command runs by then, and has used something
		answered bool   // and has answered
		adopted  bool   // by another worker, whose predecessor never wakes up in time
		want     job.State
	}{
		"queued":                      {want: job.Cancelled},
		"claimed":                     {point: "Append", want: job.Cancelled},
		"creating a sandbox":          {point: "POST /api/sandbox", want: job.Cancelled},
		"looking into it":             {point: "preflight", want: job.Cancelled},
		"about to launch":             {point: "Intend", want: job.Cancelled},
		"uploading":                   {point: "upload", want: job.Cancelled},
		"launching":                   {point: "launch", want: job.Cancelled},
		"launched, and not yet said":  {point: "MarkLaunched", launched: true, want: job.Cancelled},
		"about to follow":             {point: "follow", launched: true, want: job.Cancelled},
		"running":                     {launched: true, want: job.Cancelled},
		"finishing":                   {point: "Finish", launched: true, answered: true, want: job.Succeeded}, // it is paid, and the answer is there
		"between two workers":         {point: "follow", launched: true, adopted: true, want: job.Cancelled},
		"between two, never launched": {point: "launch", adopted: true, want: job.Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			f := newHouse(t)
			id := f.submit()
			var p *prompt
			if name != "queued" {
				p = f.bring(id, tc.point, tc.launched, tc.answered, tc.adopted)
			} else if _, err := f.jobs.Cancel(t.Context(), ann, id); err != nil {
				t.Fatal(err)
			}
			j := f.ended(id)
			if j.State != tc.want || j.Tries != 0 {
				t.Errorf("job = %s %+v, tries %d; want %s", j.State, j.Outcome.Failure, j.Tries, tc.want)
			}
			if p != nil {
				await(t, p.gone)
				// Where nobody has read a line yet, the command may be ended before it has written one.
				unread := tc.point == "MarkLaunched" || tc.point == "follow"
				if !unread && (len(j.Outcome.Usage) == 0 || j.Outcome.Usage[0].OutputTokens == 0) {
					t.Errorf("used: %+v, want what the command had used", j.Outcome.Usage)
				}
			}
			f.wellTold(id)
			f.nothingLives()
			if name == "queued" {
				f.join("late", brisk)
			}
			next := f.submit(func(s *job.Spec) { s.Input = "next" }) // the worker, its slot and the user's sandbox are good for it
			for p = f.stand.next(t); p.text != "next"; p = f.stand.next(t) {
			}
			p.say(t, requesting, begun)
			p.answers(t)
			f.succeeded(next)
		})
	}
}

// bring brings a job to a point, cancels it, and lets the worker hear of that and go on.
func (f *fleet) bring(id, point string, launched, answered, adopted bool) (p *prompt) {
	f.t.Helper()
	m := f.join("first", brisk)
	var stopped <-chan struct{}
	if point != "" {
		stopped = m.ice.freezeAt(point)
	}
	if launched {
		p = f.stand.next(f.t)
		p.say(f.t, requesting, begun, retry(1))
	}
	if answered {
		p.answers(f.t)
	}
	if point != "" {
		await(f.t, stopped)
	} else {
		f.until("its first output", func() bool { return f.heard(id, "(1 of") })
	}
	if _, err := f.jobs.Cancel(f.t.Context(), ann, id); err != nil {
		f.t.Fatal(err)
	}
	if adopted {
		f.join("second", brisk)
		f.ended(id)
	}
	m.ice.thaw()
	return p
}

// nothingLives checks that every process of the command has ended.
func (f *fleet) nothingLives() {
	f.t.Helper()
	for _, p := range f.stand.launches() {
		await(f.t, p.gone)
	}
}
