package worker

import (
	"testing"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
)

// governed is an attempt of a worker with a key, in a sandbox that has it.
func governed(change func(*attempt)) *attempt {
	return testAttempt(func(a *attempt) {
		a.w.o.Key, a.w.boxes = "key-1", newGate()
		a.sandbox.Fingerprint = a.w.fresh().Fingerprint
		if change != nil {
			change(a)
		}
	})
}

func TestARefusalIsTheLanesFaultAndNotTheJobs(t *testing.T) {
	limited := claude.Verdict{Class: claude.ClassRetry, State: job.Failed, Code: job.APIRateLimited, Paid: claude.PaidNo, Retryable: true, RetryAfter: time.Minute}
	auth := claude.Verdict{Class: claude.ClassOperator, State: job.Failed, Code: job.APIAuth, Paid: claude.PaidNo, Retryable: true}
	paid := limited
	paid.Paid = claude.PaidPart
	for name, tc := range map[string]struct {
		verdict claude.Verdict
		change  func(*attempt)
		want    string
		lane    bool // the job waits for it
		trouble *job.Trouble
	}{
		"a limit pauses the lane and costs no try": {
			verdict: limited, want: "queued try=false new=false delay=0s", lane: true,
			trouble: &job.Trouble{Code: job.APIRateLimited, Asked: time.Minute, Luck: 0.5},
		},
		"however many tries there were": {
			verdict: limited, change: func(a *attempt) { a.job.Tries = 2 }, want: "queued try=false new=false delay=0s", lane: true,
			trouble: &job.Trouble{Code: job.APIRateLimited, Asked: time.Minute, Luck: 0.5},
		},
		"a limit in the middle of what is paid pauses the lane, and the job fails": {
			verdict: paid, want: "failed API_RATE_LIMITED retryable=true exit=1",
			trouble: &job.Trouble{Code: job.APIRateLimited, Asked: time.Minute, Luck: 0.5},
		},
		"a refused key parks the lane": {
			verdict: auth, want: "queued try=false new=false delay=0s", lane: true,
			trouble: &job.Trouble{Code: job.APIAuth, Park: true, Luck: 0.5},
		},
		"an old sandbox's key says nothing of ours": {
			verdict: auth, change: func(a *attempt) { a.sandbox.Fingerprint = "of the key before" },
			want: "failed API_AUTH retryable=true exit=1",
		},
		"a command line that is wrong is no lane's fault": {
			verdict: claude.Verdict{Class: claude.ClassOperator, State: job.Failed, Code: job.BadOption, Paid: claude.PaidNo, Retryable: true},
			want:    "failed BAD_OPTION retryable=true exit=1",
		},
		"an error of the API is the job's to try again": {
			verdict: claude.Verdict{Class: claude.ClassRetry, State: job.Failed, Code: job.APIError, Paid: claude.PaidNo, Retryable: true},
			want:    "queued try=true new=false delay=2s",
		},
		"one that is refused while others are answered is its own matter, and costs a try": {
			verdict: limited, change: func(a *attempt) { a.singled = true }, want: "queued try=true new=false delay=1m2s",
		},
		"and at last it fails": {
			verdict: limited, change: func(a *attempt) { a.singled, a.job.Tries = true, 2 }, want: "failed API_RATE_LIMITED retryable=true exit=1",
		},
		"a key that is refused parks the lane, whoever says so": {
			verdict: auth, change: func(a *attempt) { a.singled = true }, want: "queued try=false new=false delay=0s", lane: true,
			trouble: &job.Trouble{Code: job.APIAuth, Park: true, Luck: 0.5},
		},
		"a worker without lanes charges a try": {
			verdict: limited, change: func(a *attempt) { a.w.o.Key = "" }, want: "queued try=true new=false delay=1m2s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := governed(tc.change)
			a.w.o.luck = func() float64 { return 0.5 }
			d := a.decide(tc.verdict, 1)
			if got := said(d); got != tc.want {
				t.Errorf("decide = %s, want %s", got, tc.want)
			}
			if d.requeue != nil && (d.requeue.Lane != job.LaneID{}) != tc.lane {
				t.Errorf("it waits for %+v", d.requeue.Lane)
			}
			got := a.trouble(tc.verdict)
			if (got == nil) != (tc.trouble == nil) || got != nil && *got != *tc.trouble {
				t.Errorf("the lane is told %+v, want %+v", got, tc.trouble)
			}
		})
	}
}

func TestARunningPromptIsHeard(t *testing.T) {
	limit := claude.Retry{Status: 429, Delay: 3 * time.Second}
	for name, tc := range map[string]struct {
		items    []claude.Item
		want     job.Code
		asked    time.Duration
		answered bool
	}{
		"a limit":                      {[]claude.Item{claude.Requesting{}, limit}, job.APIRateLimited, 3 * time.Second, false},
		"an overload":                  {[]claude.Item{claude.Retry{Status: 529}}, job.APIOverloaded, 0, false},
		"a broken connection is none":  {[]claude.Item{claude.Retry{}, claude.Retry{Status: 500}}, "", 0, false},
		"an answer":                    {[]claude.Item{claude.Usage{}}, "", 0, true},
		"an answer after a limit":      {[]claude.Item{limit, claude.Partial{Text: "4"}}, "", 0, true},
		"a limit after an answer":      {[]claude.Item{claude.Answer{Text: "4"}, limit}, job.APIRateLimited, 3 * time.Second, true},
		"nothing that concerns a lane": {[]claude.Item{claude.Init{}, claude.Requesting{}, claude.Denied{}}, "", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var h heard
			for _, i := range tc.items {
				h.hear(i)
			}
			var got job.Trouble
			if h.trouble != nil {
				got = *h.trouble
			}
			if got.Code != tc.want || got.Asked != tc.asked || h.answered != tc.answered {
				t.Errorf("heard %+v and answered %v, want %+v", got, h.answered, tc)
			}
		})
	}
}
