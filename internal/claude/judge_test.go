package claude_test

import (
	"strings"
	"testing"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
)

// Lines of the CLI, as short as they may be.
const (
	asks   = `{"type":"system","subtype":"status","status":"requesting"}` + "\n"
	inits  = `{"type":"system","subtype":"init","session_id":"s","model":"m"}` + "\n"
	begun  = `{"type":"stream_event","event":{"type":"message_start","message":{"id":"1","model":"m","usage":{"input_tokens":12,"output_tokens":1}}}}` + "\n"
	said   = `{"type":"assistant","message":{"id":"1","model":"m","content":[{"type":"text","text":"words"}],"usage":{"input_tokens":12}}}` + "\n"
	waits  = `{"type":"system","subtype":"api_retry","attempt":2,"max_retries":2,"retry_delay_ms":45000,"error_status":429,"error":"rate_limit"}` + "\n"
	answer = `{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn","result":"4","usage":{"input_tokens":12,"output_tokens":9}}` + "\n"
)

// failure is a result with is_error; fields are more of its JSON.
func failure(fields string) string {
	return `{"type":"result","subtype":"success","is_error":true,"num_turns":1,"stop_reason":"stop_sequence",` + fields + "}\n"
}

// The situations that the captures do not hold, and the order in which clues count.
func TestJudge(t *testing.T) {
	announced := claude.Ending{Announced: true}
	exit := func(code int, stderr string) claude.Ending {
		return claude.Ending{Announced: true, Exit: code, Stderr: stderr}
	}
	for name, tc := range map[string]struct {
		out   string
		end   claude.Ending
		class claude.Class
		code  job.Code
		paid  claude.Paid
		state job.State
	}{
		"422": {
			inits + asks + failure(`"api_error_status":422,"result":"API Error: 422 x"`), exit(1, ""),
			claude.ClassPermanent, job.APIBadRequest, claude.PaidNo, job.Failed,
		},
		"a 4xx that nobody has met": {
			asks + failure(`"api_error_status":418`), exit(1, ""),
			claude.ClassPermanent, job.APIBadRequest, claude.PaidNo, job.Failed,
		},
		"a 5xx that nobody has met": {
			asks + failure(`"api_error_status":599.0`), exit(1, ""), claude.ClassRetry, job.APIError, claude.PaidNo, job.Failed,
		},
		"a 429 after a turn that was paid": {
			asks + begun + asks + failure(`"api_error_status":429`), exit(1, ""),
			claude.ClassRetry, job.APIRateLimited, claude.PaidPart, job.Failed,
		},
		"a refused connection after a turn that was paid is not a cut answer": {
			asks + begun + `{"type":"stream_event","event":{"type":"message_stop"}}` + "\n" + asks + failure(`"api_error":"connection_failed","result":"API Error: Connection refused"`), exit(1, ""),
			claude.ClassRetry, job.APIUnreachable, claude.PaidPart, job.Failed,
		},
		"a stream that stalls": {
			asks + begun + failure(`"api_error":"stream_idle_timeout","result":"API Error"`), exit(1, ""),
			claude.ClassRetry, job.StreamCut, claude.PaidPart, job.Failed,
		},
		"an error in words that nobody has met": {
			asks + failure(`"result":"API Error: the moon is full"`), exit(1, ""),
			claude.ClassRetry, job.ClaudeCommandFailed, claude.PaidUnknown, job.Failed,
		},
		"a status in the text weighs less than the field": {
			asks + failure(`"api_error_status":529,"result":"API Error: 400 x"`), exit(1, ""),
			claude.ClassRetry, job.APIOverloaded, claude.PaidNo, job.Failed,
		},
		"no credit weighs more than its status": {
			asks + failure(`"api_error_status":400,"result":"Credit balance is too low"`), exit(1, ""),
			claude.ClassOperator, job.APICredit, claude.PaidNo, job.Failed,
		},
		"a subtype that nobody has met": {
			asks + begun + `{"type":"result","subtype":"error_new","is_error":true,"num_turns":1}` + "\n", exit(1, ""),
			claude.ClassPermanent, job.ClaudeCommandFailed, claude.PaidYes, job.Failed,
		},
		"plan mode, after ten refusals": {
			asks + begun + `{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":11,"errors":["x"]}` + "\n", exit(1, ""),
			claude.ClassPermanent, job.ClaudeCommandFailed, claude.PaidYes, job.Failed,
		},
		"a whole answer and exit 1": {
			inits + asks + answer, exit(1, "disk is full (ENOSPC)"), claude.ClassSucceeded, "", claude.PaidYes, job.Succeeded,
		},
		"a whole answer, and killed behind it": {
			inits + asks + answer, claude.Ending{Announced: true, Killed: true}, claude.ClassSucceeded, "", claude.PaidYes, job.Succeeded,
		},
		"an answer without its line's end": {
			inits + asks + strings.TrimSpace(answer), announced, claude.ClassSucceeded, "", claude.PaidYes, job.Succeeded,
		},
		"the last result counts": {
			failure(`"api_error_status":500`) + answer, announced, claude.ClassSucceeded, "", claude.PaidYes, job.Succeeded,
		},
		"blanks are no answer": {
			`{"type":"result","subtype":"success","num_turns":1,"stop_reason":"end_turn","result":" \n","usage":{"output_tokens":9}}`, announced,
			claude.ClassUnknown, job.EmptyResult, claude.PaidYes, job.Failed,
		},
		"a structured output that is null": {
			`{"type":"result","subtype":"success","num_turns":1,"stop_reason":"end_turn","result":"4","structured_output":null,"usage":{"output_tokens":9}}`,
			claude.Ending{WantSchema: true},
			claude.ClassPermanent, job.SchemaNotMet, claude.PaidYes, job.Failed,
		},
		"cancelled before it asked": {
			inits,
			claude.Ending{Announced: true, Cancelled: true, Exit: 143},
			claude.ClassStopped, job.JobCancelled, claude.PaidNo, job.Cancelled,
		},
		"cancelled while it asked": {
			inits + asks,
			claude.Ending{Announced: true, Cancelled: true, Exit: 143},
			claude.ClassStopped, job.JobCancelled, claude.PaidUnknown, job.Cancelled,
		},
		"cancelled in its answer": {
			inits + asks + begun,
			claude.Ending{Announced: true, Cancelled: true, Killed: true},
			claude.ClassStopped, job.JobCancelled, claude.PaidPart, job.Cancelled,
		},
		"cancelling wins over a deadline, and over an answer": {
			inits + asks + answer,
			claude.Ending{Announced: true, Cancelled: true, Timeout: true},
			claude.ClassStopped, job.JobCancelled, claude.PaidPart, job.Cancelled,
		},
		"the deadline": {
			inits + asks + begun,
			claude.Ending{Announced: true, Timeout: true, Exit: 143},
			claude.ClassStopped, job.DeadlineExceeded, claude.PaidPart, job.Failed,
		},
		"killed before anything": {
			"", claude.Ending{Announced: true, Killed: true}, claude.ClassRetry, job.ExecutionError, claude.PaidNo, job.Failed,
		},
		"killed before it asked, by a signal that the shell saw": {
			inits, exit(137, ""), claude.ClassRetry, job.ExecutionError, claude.PaidNo, job.Failed,
		},
		"hung up while it asked": {
			inits + asks, exit(129, ""), claude.ClassUnknown, job.OutcomeIsUnknown, claude.PaidUnknown, job.OutcomeUnknown,
		},
		"killed, with a command line that announces nothing": {
			inits, claude.Ending{Killed: true}, claude.ClassUnknown, job.OutcomeIsUnknown, claude.PaidUnknown, job.OutcomeUnknown,
		},
		"killed in half of its result": {
			inits + asks + begun + `{"type":"result","subtype":"succ`,
			claude.Ending{Announced: true, Killed: true},
			claude.ClassUnknown, job.OutcomeIsUnknown, claude.PaidPart, job.OutcomeUnknown,
		},
		"a start-up sentence is not believed behind a request": {
			inits + asks, exit(1, "Error: ENOSPC"), claude.ClassUnknown, job.OutcomeIsUnknown, claude.PaidUnknown, job.OutcomeUnknown,
		},
		"no command": {
			"", exit(127, "claude: not found"), claude.ClassNewSandbox, job.ClaudeNotAvailable, claude.PaidNo, job.Failed,
		},
		"a command that cannot be run": {
			"", exit(126, "Permission denied"), claude.ClassNewSandbox, job.ClaudeNotAvailable, claude.PaidNo, job.Failed,
		},
		"a placeholder": {
			"", exit(1, "Error: claude native binary not installed."), claude.ClassNewSandbox, job.ClaudeNotAvailable, claude.PaidNo, job.Failed,
		},
		"a start that fails for a new reason": {
			"", exit(1, "Error: the moon is full"), claude.ClassRetry, job.ClaudeCommandFailed, claude.PaidNo, job.Failed,
		},
		"nothing at all, and exit 0": {
			"", announced, claude.ClassUnknown, job.OutcomeIsUnknown, claude.PaidUnknown, job.OutcomeUnknown,
		},
		"text that is not JSON is the answer": {
			"The answer is 4.\n", announced, claude.ClassSucceeded, "", claude.PaidYes, job.Succeeded,
		},
		"JSON that is not the CLI's is text, too": {
			`{"answer":4}`, announced, claude.ClassSucceeded, "", claude.PaidYes, job.Succeeded,
		},
		"text and a failure that the text names": {
			"API Error: 529 overloaded_error\n", exit(1, ""), claude.ClassRetry, job.APIOverloaded, claude.PaidNo, job.Failed,
		},
		"text and another failure": {
			"half an answer\n", exit(1, "broken pipe"), claude.ClassPermanent, job.ClaudeCommandFailed, claude.PaidUnknown, job.Failed,
		},
		"text of another command, and killed": {
			"half an answer\n",
			claude.Ending{Announced: true, Killed: true},
			claude.ClassUnknown, job.OutcomeIsUnknown, claude.PaidUnknown, job.OutcomeUnknown,
		},
		"text among the events is not the answer": {
			inits + asks + "warning: x\n", announced, claude.ClassUnknown, job.OutcomeIsUnknown, claude.PaidUnknown, job.OutcomeUnknown,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var d claude.Decoder
			d.Lines([]byte(tc.out))
			v := d.Judge(tc.end)
			if v.Class != tc.class || v.Code != tc.code || v.Paid != tc.paid || v.State != tc.state {
				t.Errorf("verdict %q %q, paid %q, state %q, want %q %q, %q, %q",
					v.Class, v.Code, v.Paid, v.State, tc.class, tc.code, tc.paid, tc.state)
			}
		})
	}
}

func TestWhatAVerdictCarries(t *testing.T) {
	judge := func(out string, e claude.Ending) claude.Verdict {
		var d claude.Decoder
		d.Lines([]byte(out))
		return d.Judge(e)
	}
	t.Run("the answer, the result as it came, the conversation, the tokens and the turns", func(t *testing.T) {
		v := judge(inits+asks+begun+answer, claude.Ending{})
		if v.Text != "4" || string(v.JSON) != strings.TrimSpace(answer) || v.SessionID != "s" || v.Turns != 1 ||
			len(v.Usage) != 1 || v.Usage[0] != (job.ModelUsage{Model: "m", InputTokens: 12, OutputTokens: 9}) {
			t.Errorf("verdict %+v", v)
		}
	})
	t.Run("raw text, byte for byte", func(t *testing.T) {
		if v := judge(" four\r\n\nfive\n", claude.Ending{}); v.Text != " four\r\n\nfive\n" || v.JSON != nil {
			t.Errorf("text %q, JSON %s", v.Text, v.JSON)
		}
	})
	t.Run("the model's last words, when its own limits ended it", func(t *testing.T) {
		v := judge(asks+said+`{"type":"result","subtype":"error_max_turns","is_error":true}`, claude.Ending{Exit: 1})
		if v.Text != "words" || v.State != job.Failed {
			t.Errorf("text %q, state %s", v.Text, v.State)
		}
	})
	t.Run("no text for an error", func(t *testing.T) {
		if v := judge(asks+said+failure(`"api_error_status":400,"result":"API Error"`), claude.Ending{Exit: 1}); v.Text != "" {
			t.Errorf("text %q", v.Text)
		}
	})
	t.Run("what the CLI says, on one line, without a key", func(t *testing.T) {
		v := judge("", claude.Ending{Announced: true, Exit: 1, Stderr: "bad\x1b[0m\n\tkey sk-ant-api03-abc_DEF-1 " + strings.Repeat("x", 9000)})
		if want := "Claude command failed: bad [0m key [key] xxx"; !strings.HasPrefix(v.Message, want) || len(v.Message) > 400 {
			t.Errorf("message %q, want %q…", v.Message, want)
		}
	})
	t.Run("how long the API asked to wait, if the CLI said so", func(t *testing.T) {
		v := judge(asks+waits+failure(`"api_error_status":429`), claude.Ending{Exit: 1})
		if v.RetryAfter != 45*time.Second || !v.Free() || !v.Retryable {
			t.Errorf("retry after %v, free %v, retryable %v", v.RetryAfter, v.Free(), v.Retryable)
		}
	})
	t.Run("only the tokens of this run, when it was resumed", func(t *testing.T) {
		out := inits + begun + `{"type":"result","subtype":"success","num_turns":1,"stop_reason":"end_turn","result":"4",` +
			`"usage":{"input_tokens":12,"output_tokens":9},"modelUsage":{"m":{"inputTokens":1000,"outputTokens":900}}}`
		want := job.ModelUsage{Model: "m", InputTokens: 12, OutputTokens: 9}
		if v := judge(out, claude.Ending{Resumed: true}); len(v.Usage) != 1 || v.Usage[0] != want {
			t.Errorf("usage %v", v.Usage)
		}
	})
	t.Run("what was streamed, when the result has lost it", func(t *testing.T) {
		v := judge(inits+strings.Replace(begun, `"model":"m"`, `"model":"m-20260901"`, 1)+failure(`"result":"x","modelUsage":{}`), claude.Ending{})
		if len(v.Usage) != 1 || v.Usage[0] != (job.ModelUsage{Model: "m", InputTokens: 12, OutputTokens: 1}) {
			t.Errorf("usage %v", v.Usage)
		}
	})
	t.Run("dollars are never read", func(t *testing.T) {
		v := judge(`{"type":"result","subtype":"success","num_turns":1,"result":"4","total_cost_usd":99}`, claude.Ending{})
		if v.Usage != nil {
			t.Errorf("usage %v", v.Usage)
		}
	})
}

// What a verdict says of another try is what the page about the codes says.
func TestVerdictsAgreeWithTheirDocumentation(t *testing.T) {
	documented := map[job.Code]bool{}
	for _, c := range job.Codes {
		documented[c.Code] = c.Retryable
	}
	for _, f := range fixtures(t) {
		var d claude.Decoder
		d.Lines(f.read(t))
		v := d.Judge(f.ending())
		if again, ok := documented[v.Code]; v.Code != "" && (!ok || again != v.Retryable) {
			t.Errorf("%s: %s is retryable %v, documented %v", f.file, v.Code, v.Retryable, again)
		}
	}
}
