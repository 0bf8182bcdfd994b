package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/run"
)

// latest is the jitter that waits as long as it may.
func latest(bound time.Duration) time.Duration { return bound }

func testAttempt(change func(*attempt)) *attempt {
	a := &attempt{
		w:   &Worker{o: Options{Backoff: 2 * time.Second, jitter: latest}.withDefaults()},
		id:  job.Attempt{JobID: "job_1", Number: 1},
		job: job.Job{ID: "job_1", Spec: job.Spec{OutputFormat: job.FormatText, Model: "sonnet"}},
		log: slog.New(slog.DiscardHandler),
	}
	change(a)
	return a
}

// said puts a decision into one line: what becomes of the job, under which code, and whether a try is charged.
func said(d decision) string {
	if q := d.requeue; q != nil {
		return fmt.Sprintf("queued try=%v new=%v delay=%v", q.ChargeTry, q.NewSandbox, q.Delay)
	}
	if f := d.outcome.Failure; f != nil {
		return fmt.Sprintf("%s %s retryable=%v exit=%d", d.outcome.State, f.Code, f.Retryable, d.outcome.ExitCode)
	}
	return fmt.Sprintf("%s exit=%d", d.outcome.State, d.outcome.ExitCode)
}

func TestARetryIsPricedByWhatWasPaid(t *testing.T) {
	overloaded := claude.Verdict{Class: claude.ClassRetry, State: job.Failed, Code: job.APIOverloaded, Retryable: true, Paid: claude.PaidNo}
	cut := claude.Verdict{Class: claude.ClassRetry, State: job.Failed, Code: job.StreamCut, Retryable: true, Paid: claude.PaidPart}
	afterSpend := func(a *attempt) { a.job.Spec.Retry.AfterSpend = true }
	for name, tc := range map[string]struct {
		verdict claude.Verdict
		exit    int
		change  func(*attempt)
		want    string
	}{
		"an answer": {
			verdict: claude.Verdict{Class: claude.ClassSucceeded, State: job.Succeeded, Text: "4"}, exit: 1,
			want: "succeeded exit=0",
		},
		"nothing paid: again, and it uses a try": {
			verdict: overloaded, exit: 1,
			want: "queued try=true new=false delay=2s",
		},
		"the second time waits longer": {
			verdict: overloaded, exit: 1, change: func(a *attempt) { a.job.Tries = 1 },
			want: "queued try=true new=false delay=4s",
		},
		"the API's own wait is kept": {
			verdict: claude.Verdict{Class: claude.ClassRetry, Code: job.APIRateLimited, Paid: claude.PaidNo, RetryAfter: time.Minute},
			want:    "queued try=true new=false delay=1m2s",
		},
		"a job that may be launched once has no second try": {
			verdict: overloaded, exit: 1, change: func(a *attempt) { a.job.Spec.Retry.MaxAttempts = 1 },
			want: "failed API_OVERLOADED retryable=true exit=1",
		},
		"a job that may be launched ten times has a tenth": {
			verdict: overloaded, exit: 1, change: func(a *attempt) { a.job.Spec.Retry.MaxAttempts, a.job.Tries = 10, 8 },
			want: "queued try=true new=false delay=5m0s",
		},
		"and no eleventh": {
			verdict: overloaded, exit: 1, change: func(a *attempt) { a.job.Spec.Retry.MaxAttempts, a.job.Tries = 10, 9 },
			want: "failed API_OVERLOADED retryable=true exit=1",
		},
		"the third failure is the last": {
			verdict: overloaded, exit: 1, change: func(a *attempt) { a.job.Tries = 2 },
			want: "failed API_OVERLOADED retryable=true exit=1",
		},
		"paid in part: not again unasked": {
			verdict: claude.Verdict{Class: claude.ClassRetry, State: job.Failed, Code: job.StreamCut, Retryable: true, Paid: claude.PaidPart}, exit: 1,
			want: "failed STREAM_CUT retryable=true exit=1",
		},
		"whether it was paid is not known: not again": {
			verdict: claude.Verdict{Class: claude.ClassRetry, State: job.Failed, Code: job.APITimeout, Retryable: true, Paid: claude.PaidUnknown}, exit: 1,
			want: "failed API_TIMEOUT retryable=true exit=1",
		},
		"paid in part, and the job says again": {
			verdict: cut, exit: 1, change: afterSpend,
			want: "queued try=true new=false delay=2s",
		},
		"paid in whole, and the job says again": {
			verdict: claude.Verdict{Class: claude.ClassRetry, State: job.Failed, Code: job.StreamCut, Paid: claude.PaidYes}, change: afterSpend,
			want: "queued try=true new=false delay=2s",
		},
		"perhaps paid, and the job says again": {
			verdict: claude.Verdict{Class: claude.ClassRetry, State: job.Failed, Code: job.APITimeout, Paid: claude.PaidUnknown}, change: afterSpend,
			want: "queued try=true new=false delay=2s",
		},
		"paid for the third time, and the job says again": {
			verdict: cut, exit: 1, change: func(a *attempt) { afterSpend(a); a.job.Tries = 2 },
			want: "failed STREAM_CUT retryable=true exit=1",
		},
		"a prompt that will fail again is not tried again, whatever the job says": {
			verdict: claude.Verdict{Class: claude.ClassPermanent, State: job.Failed, Code: job.MaxTurns, Paid: claude.PaidYes}, change: afterSpend,
			want: "failed MAX_TURNS retryable=false exit=1",
		},
		"an operator's fault is not tried again, whatever the job says": {
			verdict: claude.Verdict{Class: claude.ClassOperator, State: job.Failed, Code: job.APIAuth, Retryable: true, Paid: claude.PaidNo}, change: afterSpend,
			want: "failed API_AUTH retryable=true exit=1",
		},
		"a paid, empty answer is not tried again, whatever the job says": {
			verdict: claude.Verdict{Class: claude.ClassUnknown, State: job.Failed, Code: job.EmptyResult, Retryable: true, Paid: claude.PaidYes}, change: afterSpend,
			want: "failed EMPTY_RESULT retryable=true exit=1",
		},
		"nobody can know, and the job says again": {
			verdict: unknown("?"), change: afterSpend,
			want: "outcome_unknown OUTCOME_UNKNOWN retryable=false exit=1",
		},
		"a cancelled job is not tried again, whatever the job says": {
			verdict: claude.Verdict{Class: claude.ClassStopped, State: job.Cancelled, Code: job.JobCancelled, Paid: claude.PaidPart}, change: afterSpend,
			want: "cancelled CANCELLED retryable=false exit=130",
		},
		"a broken sandbox: another one, no try": {
			verdict: noClaude(), exit: 127,
			want: "queued try=false new=true delay=0s",
		},
		"a broken sandbox, the third time": {
			verdict: noClaude(), exit: 127, change: func(a *attempt) { a.job.Moves = 2 },
			want: "failed CLAUDE_NOT_AVAILABLE retryable=false exit=127",
		},
		"the caller's own sandbox is never replaced": {
			verdict: noClaude(), change: func(a *attempt) { a.job.Spec.SandboxID = "sbx_1" },
			want: "failed CLAUDE_NOT_AVAILABLE retryable=false exit=1",
		},
		"nobody can know": {
			verdict: unknown("?"),
			want:    "outcome_unknown OUTCOME_UNKNOWN retryable=false exit=1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := testAttempt(func(a *attempt) {
				if tc.change != nil {
					tc.change(a)
				}
			})
			if got := said(a.decide(tc.verdict, tc.exit)); got != tc.want {
				t.Errorf("decide = %s\nwant     %s", got, tc.want)
			}
		})
	}
}

// TestTheDelayIsJitteredInFull: anything from nothing to the bound, and the API's own wait before that.
func TestTheDelayIsJitteredInFull(t *testing.T) {
	a := testAttempt(func(a *attempt) { a.w.o = Options{Backoff: 100 * time.Millisecond}.withDefaults(); a.job.Tries = 1 })
	var sooner, later int
	for range 200 {
		switch d := a.delay(time.Second) - time.Second; {
		case d < 0 || d > 200*time.Millisecond:
			t.Fatalf("delay = a second and %v, want 0 to 200ms", d)
		case d < 100*time.Millisecond:
			sooner++
		default:
			later++
		}
	}
	if sooner < 40 || later < 40 {
		t.Errorf("of 200 delays %d are in the first half and %d in the second", sooner, later)
	}
	a.job.Tries = 80
	if a.w.o.jitter = latest; a.delay(0) != mostBackoff {
		t.Errorf("after 80 tries: %v", a.delay(0))
	}
}

func TestAFailingPlatformCostsNoTry(t *testing.T) {
	stoppedNow := fmt.Errorf("preflight: %w", &daytona.Error{Status: 400, Message: "no IP address found. Is the Sandbox started?"})
	for name, tc := range map[string]struct {
		err    error
		change func(*attempt)
		want   string
	}{
		"the platform is away": {
			err:  &daytona.Error{Status: 503},
			want: "queued try=false new=false delay=5s",
		},
		"the platform has an internal error": {
			err:  fmt.Errorf("open: %w", &daytona.Error{Status: 500}),
			want: "queued try=false new=false delay=5s",
		},
		"the platform has nothing but internal errors": {
			err: &daytona.Error{Status: 500}, change: func(a *attempt) { a.id.Number = mostHiccups },
			want: "failed SANDBOX_NOT_CREATED retryable=true exit=1",
		},
		"a pooled sandbox is gone": {
			err:  fmt.Errorf("open: %w", daytona.ErrNotFound),
			want: "queued try=false new=true delay=0s",
		},
		"the caller's own sandbox is gone": {
			err: daytona.ErrNotFound, change: func(a *attempt) { a.job.Spec.SandboxID = "sbx_1" },
			want: "failed SANDBOX_DELETED retryable=false exit=1",
		},
		"a pooled sandbox was deleted while it was asked": {
			err: stoppedNow, change: func(a *attempt) { a.shut = fmt.Errorf("open: %w", daytona.ErrNotFound) },
			want: "queued try=false new=true delay=0s",
		},
		"the caller's own sandbox was deleted while it was asked": {
			err: stoppedNow, change: func(a *attempt) { a.shut, a.job.Spec.SandboxID = daytona.ErrNotFound, "sbx_1" },
			want: "failed SANDBOX_DELETED retryable=false exit=1",
		},
		"the sandbox was stopped under us, as often as we started it": {
			err:  stoppedNow,
			want: "queued try=false new=false delay=5s",
		},
		"another worker makes the sandbox just now": {
			err:  fmt.Errorf("open: %w", &daytona.Error{Status: 409, Message: "Sandbox with name sbx_1 already exists"}),
			want: "queued try=false new=false delay=5s",
		},
		"the platform refuses": {
			err:  &daytona.Error{Status: 403, Message: "no"},
			want: "failed SANDBOX_NOT_CREATED retryable=true exit=1",
		},
		"the sandbox of a launched run is gone": {
			err: unanswered{daytona.ErrNotFound}, change: func(a *attempt) { a.run.ID = "run_1" },
			want: "outcome_unknown OUTCOME_UNKNOWN retryable=false exit=1",
		},
		"the sandbox cannot hold a run": {
			err: fmt.Errorf("launch: %w", run.ErrBroken), change: func(a *attempt) { a.run.ID = "run_1" },
			want: "queued try=false new=true delay=0s",
		},
		"asked to launch, and no answer for good": {
			err: errors.New("cut"), change: func(a *attempt) { a.run.ID = "run_1" },
			want: "outcome_unknown OUTCOME_UNKNOWN retryable=false exit=1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := testAttempt(func(a *attempt) {
				if tc.change != nil {
					tc.change(a)
				}
			})
			if got := said(a.broken(tc.err)); got != tc.want {
				t.Errorf("broken(%v) = %s\nwant %s", tc.err, got, tc.want)
			}
		})
	}
}

func TestMoney(t *testing.T) {
	used := claude.Verdict{Class: claude.ClassSucceeded, Usage: []job.ModelUsage{{Model: "claude-nobody-knows", InputTokens: 1}}}
	offline := testAttempt(func(a *attempt) { a.w.o.Offline = true })
	if o := offline.decide(used, 0).outcome; o.CostUSD == nil || *o.CostUSD != 0 || o.PriceVersion != "offline" {
		t.Errorf("offline cost = %v (%s), want 0", o.CostUSD, o.PriceVersion)
	}
	if o := testAttempt(func(*attempt) {}).decide(used, 0).outcome; o.CostUSD != nil {
		t.Errorf("cost of an unknown model = %v, want none", *o.CostUSD)
	}
}

// TestASessionIsUsedOnce: the command refuses one that its sandbox has seen.
func TestASessionIsUsedOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*attempt)
		shared bool // with whoever else has the conversation
	}{
		"the first run of a job that begins a conversation": {func(*attempt) {}, true},
		"a later run of it":            {func(a *attempt) { a.prior = &job.Run{ID: "run_1"} }, false},
		"one that goes on":             {func(a *attempt) { a.resume = "session-1" }, false},
		"a retry that begins it again": {func(a *attempt) { a.job.RetryOf = "job_0" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := testAttempt(func(a *attempt) { a.job.ConversationID = "talk-1"; tc.change(a) })
			if got := a.session(); (got == "talk-1") != tc.shared || got == "" {
				t.Errorf("session %q, want the conversation's: %v", got, tc.shared)
			}
		})
	}
}

// TestWhyAJobWaitsForThePlatform: what somebody can do something about is said.
func TestWhyAJobWaitsForThePlatform(t *testing.T) {
	refused := func(message string) error {
		return fmt.Errorf("open sandbox sbx_1: %w", &daytona.Error{Status: 400, Message: message})
	}
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"a quota":      {refused("Total disk limit exceeded. Maximum allowed: 30GiB."), "the sandbox platform has no room: Total disk limit exceeded. Maximum allowed: 30GiB."},
		"a snapshot":   {refused("Snapshot deactivation is still in progress"), "the snapshot is being put out of service by the sandbox platform, and can be activated afterwards"},
		"a bad moment": {&daytona.Error{Status: 503}, "the sandbox platform is not available"},
	} {
		t.Run(name, func(t *testing.T) {
			a := attempt{w: &Worker{o: Options{}.withDefaults()}, id: job.Attempt{JobID: "j", Number: 1}, log: slog.New(slog.DiscardHandler)}
			if d := a.broken(tc.err); d.requeue == nil || d.requeue.Reason != tc.want || d.requeue.ChargeTry {
				t.Errorf("decided %+v, want the queue without a try, and %q", d, tc.want)
			}
		})
	}
}

// TestWhatNoWaitingHelps: a sandbox that is bigger than any may be is not asked for again.
func TestWhatNoWaitingHelps(t *testing.T) {
	const why = "CPU request 9 exceeds maximum allowed per sandbox (4)."
	a := attempt{w: &Worker{o: Options{}.withDefaults()}, id: job.Attempt{JobID: "j", Number: 1}, log: slog.New(slog.DiscardHandler)}
	d := a.broken(fmt.Errorf("open sandbox sbx_1: %w", &daytona.Error{Status: 400, Message: why}))
	if d.outcome == nil || d.requeue != nil {
		t.Fatalf("decided %+v, want the end", d)
	}
	f := d.outcome.Failure
	if f == nil || f.Code != job.SandboxNotCreated || f.Retryable || !strings.Contains(f.Message, why) {
		t.Errorf("failed with %+v, want %s, not to be tried again, and the platform's words", f, job.SandboxNotCreated)
	}
}
