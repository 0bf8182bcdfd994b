package claude

import (
	"cmp"
	"encoding/json"
	"strings"

	"sandpiper/internal/job"
)

// Judge says how a run ended. It may be called more than once, and again after more output came.
//
// The order decides: what we did ourselves; the last result (a subtype that is not success, then is_error, then
// what is odd about a success); without a result, what standard error says of the start; and only then the exit
// code.
func (d *Decoder) Judge(e Ending) Verdict {
	whole := d.withLastLine()
	c := &court{Ending: e, state: whole.state, counted: whole.Usage()}
	c.hasResult = c.state.Result != "" && read([]byte(c.state.Result), &c.result)
	if said := c.result.usage(c.state.Model, e.Resumed); tokens(said) >= tokens(c.counted) {
		c.counted = said // all calls, also those that are not streamed; but a cut answer's tokens can be missing
	}
	return c.verdict(c.find())
}

// court holds everything that a verdict rests on.
type court struct {
	Ending
	state     State
	result    wireResult
	hasResult bool
	counted   []job.ModelUsage // streamed, and as the result says
}

func (c *court) find() finding {
	switch {
	case c.Cancelled:
		return finding{class: ClassStopped, code: job.JobCancelled}
	case c.Timeout:
		return finding{class: ClassStopped, code: job.DeadlineExceeded}
	case !c.hasResult:
		return c.withoutResult()
	case c.result.Subtype != "success":
		return c.bySubtype()
	case c.result.IsError:
		return c.byError()
	}
	return c.bySuccess()
}

// bySubtype: the run ended by itself, and not with an answer.
func (c *court) bySubtype() finding {
	switch c.result.Subtype {
	case "error_max_turns":
		return finding{ClassPermanent, job.MaxTurns, PaidYes}
	case "error_max_budget_usd":
		return finding{ClassPermanent, job.BudgetExceeded, PaidYes}
	case "error_max_structured_output_retries":
		return finding{ClassPermanent, job.SchemaNotMet, PaidYes}
	}
	// In stream-json an unknown conversation has a result line too, with the sentence in errors (2.1.330).
	if f, ok := find(startups, strings.Join(c.result.Errors, "\n")); ok && tokens(c.counted) == 0 {
		return f
	}
	switch {
	case strings.HasPrefix(c.result.TerminalReason, "aborted_"): // a SIGINT that was not ours
		return finding{class: ClassUnknown, code: job.OutcomeIsUnknown}
	case c.result.IsError:
		return finding{class: ClassPermanent, code: job.ClaudeCommandFailed}
	case count(c.result.Usage.Output) <= 1: // 1.0.83: only the count at a message's start, so its stream was cut
		return finding{ClassRetry, job.StreamCut, PaidPart}
	}
	return finding{ClassUnknown, job.EmptyResult, PaidYes} // 1.0.83: a paid answer without content
}

// byError: subtype "success", and yet an error. Every failure of the API looks like this.
func (c *court) byError() finding {
	r := c.result
	if f, ok := find(stronger, r.Result); ok {
		return f
	}
	if r.APIErrorStatus > 0 {
		return byStatus(int(count(r.APIErrorStatus)))
	}
	if f, ok := apiErrors[r.APIError]; ok {
		if f.code == job.APIUnreachable && tokens(c.counted) > 0 && (c.state.Metered.cut() || !c.state.Requesting) {
			f = finding{ClassRetry, job.StreamCut, PaidPart}
		}
		return f
	}
	if r.stopReason() == "refusal" {
		return finding{ClassPermanent, job.Refused, PaidYes}
	}
	if f, ok := byText(r.Result); ok {
		return f
	}
	return finding{class: ClassRetry, code: job.ClaudeCommandFailed}
}

// bySuccess: no error is said, so what is odd must be found. The exit code is not asked: a whole answer can come
// with exit 1 (HOME on a full disk).
func (c *court) bySuccess() finding {
	r := c.result
	silent := tokens(r.usage("", false)) == 0
	empty := strings.TrimSpace(r.Result) == "" || r.Result == "(no content)" // the latter on 1.0.83
	switch {
	case r.NumTurns <= 0 || r.LocalCommand != "":
		return finding{class: ClassPermanent, code: job.LocalCommand}
	case string(r.StopReason) == "null" && silent: // 2.1.197: cut after a whole block
		return finding{ClassUnknown, job.StreamCut, PaidPart}
	case r.StopReason == nil && count(r.Usage.Output) == 1: // 1.0.83: only the count at a message's start
		return finding{ClassUnknown, job.StreamCut, PaidPart}
	case c.WantSchema && (r.StructuredOutput == nil || string(r.StructuredOutput) == "null"):
		return finding{ClassPermanent, job.SchemaNotMet, PaidYes}
	case empty && silent && r.DurationAPI == 0: // 1.0.83 answers "/cost" with nothing, in 2 turns
		return finding{ClassPermanent, job.LocalCommand, PaidNo}
	case empty:
		return finding{ClassUnknown, job.EmptyResult, PaidYes}
	}
	return finding{class: ClassSucceeded, paid: PaidYes}
}

// withoutResult: the command never came to its last line.
func (c *court) withoutResult() finding {
	bySignal := c.Killed || c.Exit < 0 || c.Exit > 128
	asked := c.state.Requesting || tokens(c.counted) > 0
	if !asked {
		if c.Exit == 126 || c.Exit == 127 {
			return finding{ClassNewSandbox, job.ClaudeNotAvailable, PaidNo}
		}
		if f, ok := find(startups, c.Stderr); ok && !bySignal {
			return f
		}
	}
	unknown := finding{class: ClassUnknown, code: job.OutcomeIsUnknown}
	nothing := c.nothingAsked()
	switch raw := strings.TrimSpace(c.state.Raw); {
	case bySignal && nothing:
		return finding{ClassRetry, job.ExecutionError, PaidNo}
	case bySignal:
		return unknown
	case raw != "" && !c.state.Events && c.Exit == 0:
		// Not the CLI's JSON: take the text for the answer. An empty output is another thing: the disk may have
		// been full, the answer paid and lost.
		return finding{class: ClassSucceeded, paid: PaidYes}
	case raw != "" && !c.state.Events:
		if f, ok := byText(raw); ok {
			return f
		}
		return finding{class: ClassPermanent, code: job.ClaudeCommandFailed}
	case c.Exit != 0 && nothing:
		return finding{ClassRetry, job.ClaudeCommandFailed, PaidNo}
	}
	return unknown
}

// nothingAsked reports that the model was certainly not asked. Text that is not the CLI's JSON comes from another
// command, which announces nothing.
func (c *court) nothingAsked() bool {
	return c.Announced && !c.state.Requesting && tokens(c.counted) == 0 && strings.TrimSpace(c.state.Raw) == ""
}

// verdict adds what follows from a finding.
func (c *court) verdict(f finding) Verdict {
	v := Verdict{
		Class: f.class, Code: f.code, State: stateOf(f), Paid: c.paid(f),
		Retryable: f.class != ClassSucceeded && f.class != ClassPermanent,
		SessionID: cmp.Or(c.result.SessionID, c.state.SessionID),
		Usage:     c.counted,
		Turns:     int(count(c.result.NumTurns)),
	}
	if c.hasResult {
		v.JSON = json.RawMessage(c.state.Result)
	}
	v.Message = c.message(f)
	v.Text = c.text(f)
	if f.class == ClassRetry && c.state.LastRetry.Status == 429 {
		v.RetryAfter = c.state.LastRetry.Delay
	}
	return v
}

// stateOf is how a job ends. A paid, empty answer has failed: its outcome is known, and so is its cost.
func stateOf(f finding) job.State {
	switch {
	case f.class == ClassSucceeded:
		return job.Succeeded
	case f.code == job.JobCancelled:
		return job.Cancelled
	case f.class == ClassUnknown && f.code != job.EmptyResult:
		return job.OutcomeUnknown
	}
	return job.Failed
}

// paid joins what a clue says with what was counted: a rule's "no" is about its last request only, and an earlier
// one of the same run may have been paid.
func (c *court) paid(f finding) Paid {
	counted := tokens(c.counted) > 0
	switch {
	case f.paid == PaidYes || f.paid == PaidPart:
		return f.paid
	case counted && f.class == ClassPermanent:
		return PaidYes
	case counted:
		return PaidPart
	case f.paid != "":
		return f.paid
	case f.code == job.LocalCommand:
		return PaidNo
	case c.nothingAsked() && f.class != ClassUnknown: // unknown: the line may be lost, as on a full disk
		return PaidNo
	}
	return PaidUnknown
}

// text is the answer; for a run that was stopped by its own limits, the model's last words, which are paid.
func (c *court) text(f finding) string {
	switch {
	case f.class == ClassSucceeded && !c.hasResult:
		return c.state.Raw
	case f.class == ClassSucceeded:
		return c.result.Result
	case f.code == job.MaxTurns, f.code == job.BudgetExceeded, f.code == job.SchemaNotMet:
		return cmp.Or(c.result.Result, c.state.Answer)
	}
	return ""
}
