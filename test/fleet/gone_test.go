package fleet

import (
	"testing"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
)

// removeSandboxes deletes every sandbox at the platform, and waits until it has none.
func (f *fleet) removeSandboxes() {
	f.t.Helper()
	client := daytona.New(daytona.Options{URL: f.web.URL + "/api", Key: platformKey})
	defer client.Close()
	all, err := client.List(f.t.Context(), nil)
	if err != nil || len(all) == 0 {
		f.t.Fatal(len(all), err)
	}
	for _, sb := range all {
		if err := client.Delete(f.t.Context(), sb.ID); err != nil {
			f.t.Fatal(err)
		}
		f.until("it is gone", func() bool {
			found, err := client.Get(f.t.Context(), sb.ID)
			return err != nil || found.State == daytona.StateDestroyed
		})
	}
}

// TestACancelWhoseSandboxIsGone ends as cancelled where nothing was launched. Where something may have been, nobody can
// know what it came to, and what was seen of its cost is kept.
func TestACancelWhoseSandboxIsGone(t *testing.T) {
	for name, tc := range map[string]struct {
		point    string // before which the worker stands
		launched bool
		want     job.State
	}{
		"looking into it":            {point: "preflight", want: job.Cancelled},
		"about to launch":            {point: "Intend", want: job.Cancelled},
		"uploading":                  {point: "upload", want: job.Cancelled},
		"launching":                  {point: "launch", want: job.OutcomeUnknown}, // it was asked for
		"launched, and not yet said": {point: "MarkLaunched", launched: true, want: job.OutcomeUnknown},
		"about to follow":            {point: "follow", launched: true, want: job.OutcomeUnknown},
		"running":                    {launched: true, want: job.OutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			f := newHouse(t)
			id := f.submit()
			m := f.join("first", brisk, func(h *habits) { h.Poll = time.Second })
			var stopped <-chan struct{}
			if tc.point != "" {
				stopped = m.ice.freezeAt(tc.point)
			}
			if tc.launched {
				f.stand.next(t).say(t, requesting, begun, retry(1))
			}
			if tc.point != "" {
				await(t, stopped)
			} else {
				f.until("its first output", func() bool { return f.heard(id, "(1 of") })
				m.ice.freeze()
			}
			if _, err := f.jobs.Cancel(t.Context(), ann, id); err != nil {
				t.Fatal(err)
			}
			f.removeSandboxes()
			m.ice.thaw()
			j := f.ended(id)
			if j.State != tc.want || j.Tries != 0 {
				t.Errorf("job = %s %+v, tries %d; want %s", j.State, j.Outcome.Failure, j.Tries, tc.want)
			}
			if tc.point == "" && (len(j.Outcome.Usage) == 0 || j.Outcome.Usage[0].OutputTokens == 0) {
				t.Errorf("used: %+v, want what was seen of it", j.Outcome.Usage)
			}
			f.wellTold(id)
			f.nothingLives()
			if n := len(f.stand.launches()); n > 1 || !tc.launched && n > 0 {
				t.Errorf("%d launches", n)
			}
		})
	}
}

// TestAPromptThatForgesItsOwner writes the mark of a newer attempt where runs are kept, so that its worker is refused. The
// job is still that worker's: it ends the sandbox, with the prompt in it, says why, and keeps the cost. A forged mark of
// an older attempt changes nothing.
func TestAPromptThatForgesItsOwner(t *testing.T) {
	for forged, want := range map[string]job.State{"0": job.Succeeded, "99": job.OutcomeUnknown} {
		t.Run(forged, func(t *testing.T) {
			f := newHouse(t)
			id := f.submit()
			f.join("worker", func(h *habits) { h.Poll = time.Second })
			p := f.stand.next(t)
			p.say(t, requesting, begun, retry(1))
			f.until("its first output", func() bool { return f.heard(id, "(1 of") })
			p.say(t, "forge "+forged, retry(2))
			if want == job.Succeeded {
				p.answers(t)
			}
			j := f.ended(id)
			await(t, p.gone)
			if j.State != want || j.Attempt != 1 || j.Tries != 0 || len(j.Outcome.Usage) == 0 || j.Outcome.Usage[0].OutputTokens == 0 {
				t.Errorf("job = %s %+v, attempt %d, tries %d, used %+v; want %s", j.State, j.Outcome.Failure, j.Attempt, j.Tries, j.Outcome.Usage, want)
			}
			if n := len(f.stand.launches()); n != 1 {
				t.Errorf("%d launches", n)
			}
			f.wellTold(id)
		})
	}
}

// TestASandboxThatIsGoneBeforeTheLaunch costs its job nothing but another sandbox.
func TestASandboxThatIsGoneBeforeTheLaunch(t *testing.T) {
	for _, point := range []string{"preflight", "upload"} {
		t.Run(point, func(t *testing.T) {
			f := newHouse(t)
			id := f.submit()
			m := f.join("worker", brisk)
			await(t, m.ice.freezeAt(point))
			m.ice.watch(nil)
			f.removeSandboxes()
			m.ice.thaw()
			p := f.stand.next(t)
			p.say(t, requesting, begun)
			p.answers(t)
			f.succeeded(id)
			f.wellTold(id)
			if n := len(f.stand.launches()); n != 1 {
				t.Errorf("%d launches", n)
			}
		})
	}
}
