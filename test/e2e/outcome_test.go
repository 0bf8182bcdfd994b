package e2e

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// outcome is how a job must end.
type outcome struct {
	state    client.State // "" means failed
	code     string
	retry    bool // retryable
	launches int  // of the command; 0 means one
	paid     bool
}

// the classes, in the words of docs: what is asked again, what never is, what a person must put right.
func again(code string) outcome     { return outcome{code: code, retry: true, launches: 2} } // the houses here try twice
func permanent(code string) outcome { return outcome{code: code} }
func operator(code string) outcome  { return outcome{code: code, retry: true} }
func spent(o outcome) outcome       { o.paid = true; return o }
func unknown(paid bool) outcome {
	return outcome{state: "outcome_unknown", code: "OUTCOME_UNKNOWN", retry: true, paid: paid}
}

// pause is long enough for the CLI to take up what came before a cut, on a slow machine too: what it has not, it drops.
const pause = 3 * time.Second

// answered is an answer of the model API, and what comes of it.
type answered struct {
	answer scripted.Answer
	want   outcome
	asked  int // requests of a launch, of which the CLI may repeat one; 0 is not looked at
}

// answers break the model API in every way that a server can; the real CLI meets each.
var answers = map[string]answered{
	"400":                     {scripted.Error(400, "invalid_request_error", "no such field"), permanent("API_BAD_REQUEST"), 0},
	"400, no credit":          {scripted.NoCredit(), operator("API_CREDIT"), 1},
	"400, prompt is too long": {scripted.Error(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), permanent("PROMPT_TOO_LONG"), 0},
	"401":                     {scripted.Unauthorized(), operator("API_AUTH"), 2},
	"402":                     {scripted.Error(402, "billing_error", "pay"), operator("API_CREDIT"), 1},
	"403":                     {scripted.Error(403, "permission_error", "no"), operator("API_AUTH"), 1},
	"404":                     {scripted.Error(404, "not_found_error", "model: x"), permanent("MODEL_NOT_FOUND"), 0},
	"408":                     {scripted.Error(408, "timeout_error", "slow"), again("API_TIMEOUT"), 2},
	"409":                     {scripted.Error(409, "conflict_error", "busy"), again("API_ERROR"), 2},
	"413":                     {scripted.Error(413, "request_too_large", "big"), permanent("PROMPT_TOO_LONG"), 0},
	"418":                     {scripted.Error(418, "teapot_error", "tea"), permanent("API_BAD_REQUEST"), 0},
	"422":                     {scripted.Error(422, "invalid_request_error", "no"), permanent("API_BAD_REQUEST"), 0},
	"429":                     {scripted.RateLimited(0), again("API_RATE_LIMITED"), 2},
	"429, come back in 90 s":  {scripted.RateLimited(90 * time.Second), again("API_RATE_LIMITED"), 1},
	"500":                     {scripted.Error(500, "api_error", "oops"), again("API_ERROR"), 2},
	"502 of a proxy, as HTML": {scripted.Raw(http.StatusBadGateway, "text/html", "<html>bad gateway</html>"), again("API_ERROR"), 2},
	"529":                     {scripted.Overloaded(), again("API_OVERLOADED"), 2},
	// A stream without a single event looks like one that was cut: nobody knows what it cost, so it is not asked again.
	"200, and HTML":             {scripted.Raw(http.StatusOK, "text/html", "<html>hello</html>"), operator("STREAM_CUT"), 0},
	"200, and nothing":          {scripted.Raw(http.StatusOK, "text/event-stream", ""), operator("STREAM_CUT"), 0},
	"a reset connection":        {scripted.Reset(), again("API_UNREACHABLE"), 0},
	"a stream cut in a block":   {scripted.Text(strings.Repeat("word ", 400)).CutBytes(3000).Lingering(pause), spent(operator("STREAM_CUT")), 0},
	"a stream cut between two":  {scripted.Text("one").AndText("two").CutBlocks(1).Lingering(pause), spent(operator("STREAM_CUT")), 0},
	"an error inside a stream":  {scripted.Text("one").Failing("overloaded_error"), spent(operator("STREAM_CUT")), 0},
	"a refusal":                 {scripted.Refusal(), spent(permanent("REFUSED")), 0},
	"the limit of tokens":       {scripted.MaxTokens("cut"), spent(permanent("MAX_TOKENS")), 0},
	"the context is full":       {scripted.Answer{StopReason: "model_context_window_exceeded"}, spent(permanent("CONTEXT_FULL")), 0},
	"an empty answer":           {scripted.Empty(), spent(operator("EMPTY_RESULT")), 0},
	"tool calls without an end": {scripted.Tool("Bash", map[string]string{"command": "echo x", "description": "x"}), spent(permanent("MAX_TURNS")), 5},
}

// inLong are those of which another one is of the same class, and is made in the same way: they are tried with -whole.
var inLong = []string{"402", "403", "409", "413", "418", "422", "200, and nothing", "a stream cut between two"}

// onceHere may be launched again, as "429" and "500" are: whether they are is looked at with -whole.
var onceHere = []string{"408", "429, come back in 90 s", "502 of a proxy, as HTML", "529", "a reset connection"}

var wholeTable = flag.Bool("whole", false, "every answer that breaks the model API, and not one of each kind")

// twice is as often as a job is launched here.
var twice, once = &client.Retry{MaxAttempts: 2}, &client.Retry{MaxAttempts: 1}

// TestOutcomes: failures of the API end in the class that was measured. All in one house.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	h := openTuned(t, nil, quick, askAgain, laneless)
	h.model.Handle(func(r scripted.Request) scripted.Answer { return answers[caseOf(r)].answer })
	answers := maps.Clone(answers)
	if !*wholeTable {
		maps.DeleteFunc(answers, func(name string, _ answered) bool { return slices.Contains(inLong, name) })
	}
	ids := map[string]string{} // :: case → job
	for name, tc := range answers {
		retry := twice
		if !*wholeTable && slices.Contains(onceHere, name) {
			retry, tc.want.launches = once, 1
			answers[name] = tc
		}
		ids[name] = h.submit(t, client.Submit{UserID: fmt.Sprintf("user%d", len(ids)%4), Input: "[[" + name + "]]", MaxTurns: 5, Retry: retry})
	}
	for name, tc := range answers {
		t.Run(name, func(t *testing.T) {
			j := h.ended(t, ids[name])
			h.check(t, j, tc.want)
			asked := 0
			for _, r := range h.model.Requests() {
				if caseOf(r) == name {
					asked++
				}
			}
			if tc.asked > 0 && asked != tc.asked*max(1, tc.want.launches) {
				t.Errorf("the model was asked %d times, want %d a launch", asked, tc.asked)
			}
		})
	}
}

// caseOf is the case that a request belongs to: later ones of a run hold its prompt too.
func caseOf(r scripted.Request) string {
	_, after, _ := strings.Cut(string(r.Body), "[[")
	name, _, _ := strings.Cut(after, "]]")
	return name
}

// check compares how a job ended, what it cost, and what was shown of it: one error, just before the one done; so
// many launches; and why each of them was not the last.
func (h *house) check(t *testing.T, j client.Job, want outcome) {
	t.Helper()
	if want.state == "" {
		want.state = "failed"
	}
	launches := max(1, want.launches)
	if j.State != want.state || j.Error == nil || j.Error.Code != want.code || j.Error.Retryable != want.retry || j.Tries != launches-1 {
		t.Errorf("job = %s %+v after %d tries, want %+v", j.State, j.Error, j.Tries, want)
	}
	if paid := j.CostUSD != nil && *j.CostUSD > 0; paid != want.paid {
		t.Errorf("cost = %v of %+v, want paid=%v", j.CostUSD, j.Usage, want.paid)
	}
	h.endsOnce(t, j, launches)
	var reasons []string
	for _, e := range h.events(t, j.JobID) {
		if e.Type == client.EventState && e.State == "queued" && e.Seq > 1 {
			reasons = append(reasons, e.Reason)
		}
	}
	for i, reason := range reasons {
		if expected := fmt.Sprintf("retry %d after %s", i+1, want.code); reason != expected {
			t.Errorf("back to the queue because of %q, want %q", reason, expected)
		}
	}
	if len(reasons) != launches-1 {
		t.Errorf("reasons = %q for %d launches", reasons, launches)
	}
}

// endsOnce checks the end of a failed job: one error, just before the one done, and so many launches.
func (h *house) endsOnce(t *testing.T, j client.Job, launches int) {
	t.Helper()
	all := lines(h.events(t, j.JobID))
	count := func(word string) (n int) {
		for _, l := range all {
			if l == word || strings.HasPrefix(l, word+" ") {
				n++
			}
		}
		return n
	}
	if n := len(all); count("done") != 1 || count("error") != 1 || all[n-2] != "error" || !strings.HasPrefix(all[n-1], "done ") || all[n-1] == "done 0" {
		t.Errorf("events = %q, want one error and then one done that is not 0", all)
	}
	if got := count("executing claude command"); got != launches {
		t.Errorf("%d launches, want %d: %q", got, launches, all)
	}
}

// TestAnAPIThatIsNotThere: nothing listens, the name is unknown, or it never answers.
func TestAnAPIThatIsNotThere(t *testing.T) {
	for name, tc := range map[string]struct {
		url    string // "" is the model
		refuse bool
		want   outcome
	}{
		"a refused connection":   {refuse: true, want: again("API_UNREACHABLE")},
		"a name that is unknown": {url: "http://name.invalid", want: again("API_UNREACHABLE")},
		"silence":                {want: operator("API_TIMEOUT")}, // it was asked, and nobody knows whether it is paid
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var vars []string
			if tc.url != "" {
				vars = []string{"ANTHROPIC_BASE_URL=" + tc.url}
			}
			h := openTuned(t, vars, quick, askOnce)
			h.model.Handle(func(scripted.Request) scripted.Answer { return scripted.Silence() })
			if tc.refuse {
				if err := h.model.Refuse(); err != nil {
					t.Fatal(err)
				}
			}
			h.check(t, h.ask(t, client.Submit{Input: "What is 2+2?", Retry: twice}), tc.want)
		})
	}
}

// TestARetryAnswersInTheEnd: two failures of the API cost a try each, and then the answer comes.
func TestARetryAnswersInTheEnd(t *testing.T) {
	h := openTuned(t, []string{"SANDPIPER_CLAUDE_RETRIES=0"}, quick)
	oops := scripted.Error(500, "api_error", "oops")
	h.model.Queue(oops, oops)
	j := h.ask(t, client.Submit{Input: "What is 2+2?"})
	if j.State != "succeeded" || j.Result.Text != "The answer is 4." || j.Tries != 2 {
		t.Errorf("job = %s %+v, tries %d; want an answer after 2 tries", j.State, j.Result, j.Tries)
	}
	all := lines(h.events(t, j.JobID))
	if slices.Index(all, "error") >= 0 {
		t.Errorf("a retry showed an error: %q", all)
	}
}

// TestAPaidTryIsPaidAgainOnlyWhereTheJobSaysSo, and then the job's cost is that of both.
func TestAPaidTryIsPaidAgainOnlyWhereTheJobSaysSo(t *testing.T) {
	t.Parallel()
	h := openTuned(t, []string{"SANDPIPER_CLAUDE_RETRIES=0"}, quick)
	var asked, cuts atomic.Int64 // of the next requests so many are cut: the command asks more than once in a launch
	cuts.Store(1 << 30)
	h.model.Handle(func(scripted.Request) scripted.Answer {
		if asked.Add(1) <= cuts.Load() {
			return scripted.Text("one").Failing("overloaded_error")
		}
		return scripted.Text("4")
	})
	careful := h.ask(t, client.Submit{UserID: "careful", Input: "What is 2+2?"})
	if careful.State != "failed" || careful.Tries != 0 || careful.CostUSD == nil || *careful.CostUSD <= 0 {
		t.Fatalf("unasked: %s %+v, tries %d, cost %v; want one paid failure", careful.State, careful.Error, careful.Tries, careful.CostUSD)
	}
	cuts.Store(2 * asked.Swap(0))
	j := h.ask(t, client.Submit{UserID: "eager", Input: "What is 2+2?", Retry: &client.Retry{AfterSpend: true}})
	if j.State != "succeeded" || j.Tries != 2 || j.Retry != (client.Retry{MaxAttempts: 3, AfterSpend: true}) {
		t.Fatalf("asked for: %s %+v, tries %d, retry %+v; want an answer after two paid tries", j.State, j.Error, j.Tries, j.Retry)
	}
	if j.CostUSD == nil || *j.CostUSD <= 2**careful.CostUSD || len(j.Usage) != 1 {
		t.Errorf("cost %v of %+v, want more than twice %v", j.CostUSD, j.Usage, *careful.CostUSD)
	}
}

// TestTheCLIsOwnRetriesAreShown while they happen; how many there are is a setting.
func TestTheCLIsOwnRetriesAreShown(t *testing.T) {
	h := open(t, "SANDPIPER_CLAUDE_RETRIES=1")
	h.model.Queue(scripted.Overloaded(), scripted.Text("4"))
	j := h.ask(t, client.Submit{Input: "What is 2+2?"})
	all := strings.Join(lines(h.events(t, j.JobID)), "\n")
	if j.State != "succeeded" || j.Tries != 0 || !strings.Contains(all, "claude asks the API again in") || !strings.Contains(all, "(1 of 1): overloaded (529)") {
		t.Errorf("job %s, tries %d, showed\n%s", j.State, j.Tries, all)
	}
}
