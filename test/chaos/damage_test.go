package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// damage is one promise that was broken.
type damage struct {
	kind string // one of damages
	job  string // label or id; "" when it is nobody's
	why  string
}

// damages are the columns of the table, each the name of what must not happen.
var damages = []string{
	"lost", "doubled", "launched twice", "paid twice", "answer lost", "killed", "unknown untruly", "stale write", "gap", "client differs",
	"try charged", "prompt altered", "secret shown", "left over",
}

// jobRow is a job as the database has it.
type jobRow struct {
	ID, User, State             string
	Attempt, Tries, Last, Ender int64
	Created, Ended              int64
	Code, Message               string
	Cost                        *float64
}

// eventRow is an event as the database has it.
type eventRow struct {
	Job           string
	Seq, Position int64
	Type, Sandbox string
	At            int64
	Body          []byte
}

func (e eventRow) body() (b struct {
	Data, State, Reason string
	Attempt             int64
},
) {
	_ = json.Unmarshal(e.Body, &b) // what is not there stays empty, and is missed by a check
	return b
}

// picture is all that is read of the database, once, with SQL of our own.
type picture struct {
	jobs    map[string]jobRow
	inputs  map[string]string   // job → prompt
	labels  map[string][]string // label → jobs
	events  map[string][]eventRow
	results map[string]string
	tokens  map[string]int64 // job → input tokens that were charged
	harmed  map[string]bool  // jobs whose sandbox was stopped under them; true: or deleted
}

func look(f *fleet) picture {
	f.t.Helper()
	p := picture{
		jobs: map[string]jobRow{}, inputs: map[string]string{}, labels: map[string][]string{}, events: map[string][]eventRow{},
		results: map[string]string{}, tokens: map[string]int64{}, harmed: f.harmed(),
	}
	for _, j := range rows[jobRow](f, `SELECT id, user_id, state, attempt, tries, last_seq, ended_by, created_at, ended_at,
		failure_code, convert_from(failure_message, 'UTF8'), cost_usd FROM jobs`) {
		p.jobs[j.ID] = j
	}
	for _, in := range rows[struct {
		Job   string
		Input []byte
	}](f, `SELECT job_id, input FROM inputs`) {
		p.inputs[in.Job] = string(in.Input)
		var o order
		first, _, _ := strings.Cut(string(in.Input), "\n")
		if json.Unmarshal([]byte(first), &o) == nil {
			p.labels[o.Job] = append(p.labels[o.Job], in.Job)
		}
	}
	for _, e := range rows[eventRow](f, `SELECT job_id, seq, position, type, sandbox_id, ts, body FROM events ORDER BY job_id, seq`) {
		p.events[e.Job] = append(p.events[e.Job], e)
	}
	for _, r := range rows[struct {
		Job  string
		Text []byte
	}](f, `SELECT job_id, text FROM results`) {
		p.results[r.Job] = string(r.Text)
	}
	for _, u := range rows[struct {
		Job    string
		Tokens int64
	}](f, `SELECT job_id, SUM(input_tokens)::bigint FROM usage_entries WHERE kind = 'used' GROUP BY job_id`) {
		p.tokens[u.Job] = u.Tokens
	}
	return p
}

func terminal(state string) bool { return state != "queued" && state != "running" }

// witness knows every launch, from outside of the product.
type witness interface{ of(label string) []launch }

// judge compares what was accepted, what is in the database and what the record heard.
func (p picture) judge(tasks []*task, r witness) (found []damage) {
	for _, t := range tasks {
		add := func(kind, format string, args ...any) {
			found = append(found, damage{kind, t.Job, fmt.Sprintf(format, args...)})
		}
		t.mu.Lock()
		refused, given := t.refused, len(t.ids)
		t.mu.Unlock()
		made := p.labels[t.Job]
		switch {
		case refused != "":
			add("lost", "refused: %s", refused)
			continue
		case given > 1 || len(made) > 1:
			add("doubled", "one key, %d answers, %d jobs", given, len(made))
		case given == 1 && (len(made) == 0 || made[0] != t.id()):
			add("lost", "accepted as %s; the database has %v", t.id(), made)
			continue
		case given == 0:
			add("lost", "never accepted")
			continue
		}
		j := p.jobs[made[0]]
		if !terminal(j.State) {
			add("lost", "%s is %s, attempt %d, since its last event: %s", j.ID, j.State, j.Attempt, p.last(j.ID))
			continue
		}
		p.judgeLaunches(t, j, r.of(t.Job), add)
		p.judgeEvents(t, j, add)
	}
	return found
}

func (p picture) last(id string) string {
	if all := p.events[id]; len(all) > 0 {
		e := all[len(all)-1]
		return fmt.Sprintf("%d %s %s", e.Seq, e.Type, e.Body)
	}
	return "none"
}

// returns are how often a job went back to the queue, for a reason that begins so: so much oftener it may be launched.
func (p picture) returns(id, reason string) (n int) {
	for _, e := range p.events[id] {
		if b := e.body(); e.Type == "state" && b.State == "queued" && e.Seq > 1 && strings.HasPrefix(b.Reason, reason) {
			n++
		}
	}
	return n
}

// judgeLaunches compares a job that has ended with the launches of its prompt.
func (p picture) judgeLaunches(t *task, j jobRow, launches []launch, add func(kind, format string, args ...any)) {
	asked, answers, dead := 0, []string{}, 0
	for _, l := range launches {
		if l.prompt != digest(t.input) {
			add("prompt altered", "run %s had another prompt", l.run)
		}
		switch {
		case l.answer != nil:
			asked++
			answers = append(answers, *l.answer)
		case l.asked:
			asked++
			dead++
		}
	}
	returns := p.returns(j.ID, "")
	if len(launches) > 1+returns {
		add("launched twice", "%d launches, %d returns to the queue", len(launches), returns)
	}
	if asked > 1 {
		add("paid twice", "asked %d times", asked)
	}
	deleted, harmed := p.harmed[j.ID]
	if dead > 0 && t.cancel == 0 && !harmed {
		add("killed", "a run that was asking did not come to its end; the job has %s %s", j.State, j.Code)
	}
	switch j.State {
	case "succeeded":
		want := t.answer()
		if got := p.results[j.ID]; got != want {
			add("answer lost", "the result is %q, want %q", tail(got, 200), want)
		}
		if len(answers) == 0 {
			add("answer lost", "it has succeeded and nobody has answered")
		}
		if n := p.tokens[j.ID]; n != tokensOfAnAnswer {
			add("paid twice", "%d input tokens are charged, want %d", n, tokensOfAnAnswer)
		}
	case "outcome_unknown":
		if (len(answers) > 0 || dead == 0) && !deleted { // nobody can look into what is not there
			add("unknown untruly", "%d answers, %d asked and did not answer: %s", len(answers), dead, j.Message)
		}
	case "cancelled":
		if t.cancel == 0 {
			add("answer lost", "cancelled, and nobody asked for it")
		}
	default:
		add("answer lost", "failed: %s %s (%d launches, %d answers)", j.Code, j.Message, len(launches), len(answers))
	}
}

// tokensOfAnAnswer is what the stand-in counts as its input.
const tokensOfAnAnswer = 12

// judgeEvents looks for gaps, and for what a stale attempt would have added.
func (p picture) judgeEvents(t *task, j jobRow, add func(kind, format string, args ...any)) {
	events := p.events[j.ID]
	var attempt, position int64
	var partial strings.Builder
	dones, retries := 0, 0
	for i, e := range events {
		b := e.body()
		if e.Seq != int64(i+1) || e.Position <= position {
			add("gap", "place %d has seq %d, position %d behind %d", i+1, e.Seq, e.Position, position)
		}
		position = e.Position
		if dones > 0 {
			add("stale write", "%s at %d, after done", e.Type, e.Seq)
		}
		switch {
		case e.Type == "state" && b.Attempt < attempt:
			add("stale write", "attempt %d at %d, behind attempt %d", b.Attempt, e.Seq, attempt)
		case e.Type == "state":
			attempt = b.Attempt
		case e.Type == "done":
			dones++
		case e.Type == "partial":
			partial.WriteString(b.Data)
		case e.Type == "log" && strings.HasPrefix(b.Data, "claude asks the API again"):
			retries++
			if want := fmt.Sprintf("(%d of %d)", retries, t.Retries); !strings.Contains(b.Data, want) {
				add("stale write", "%q at %d, want %s", b.Data, e.Seq, want)
			}
		}
	}
	if dones != 1 || int64(len(events)) != j.Last {
		add("gap", "%d events and last_seq %d, %d of them done", len(events), j.Last, dones)
	}
	if attempt > j.Attempt || j.Ender != j.Attempt && j.Ender != 0 {
		add("stale write", "attempt %d in the events, %d in the job, ended by %d", attempt, j.Attempt, j.Ender)
	}
	if charged := p.returns(j.ID, "retry "); int(j.Tries) != charged {
		add("try charged", "%d tries, %d retries", j.Tries, charged)
	}
	if j.State != "succeeded" {
		return
	}
	if retries != t.Retries {
		add("gap", "%d of %d lines of the command", retries, t.Retries)
	}
	want := t.answer()
	switch got := partial.String(); {
	case !t.stream || got == want:
	case len(got) < len(want):
		add("gap", "the text while it was written is %q, want %q", got, want)
	default:
		add("stale write", "the text while it was written is %q, want %q", got, want)
	}
}

// TestJudgeSeesDamage: each kind of damage is made by hand, and named.
func TestJudgeSeesDamage(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(p *picture, t *task, r *record)
		want  string
	}{
		"nothing":                 {func(*picture, *task, *record) {}, ""},
		"a job that is not there": {func(p *picture, t *task, _ *record) { delete(p.labels, t.Job) }, "lost"},
		"a job that does not end": {func(p *picture, _ *task, _ *record) {
			j := p.jobs["job_1"]
			j.State = "running"
			p.jobs["job_1"] = j
		}, "lost"},
		"two jobs of one key": {func(p *picture, t *task, _ *record) { p.labels[t.Job] = append(p.labels[t.Job], "job_2") }, "doubled"},
		"a second launch": {func(_ *picture, t *task, r *record) {
			r.launches[t.Job] = append(r.launches[t.Job], &launch{run: "run_2", self: "b", prompt: digest(t.input)})
		}, "launched twice"},
		"a try for an interruption": {func(p *picture, _ *task, _ *record) {
			j := p.jobs["job_1"]
			j.Tries = 1
			p.jobs["job_1"] = j
		}, "try charged"},
		"a second payment": {func(p *picture, t *task, r *record) {
			p.tokens["job_1"] = 24
		}, "paid twice"},
		"an answer that is another": {func(p *picture, _ *task, _ *record) { p.results["job_1"] = "5" }, "answer lost"},
		"an answer called unknown": {func(p *picture, _ *task, _ *record) {
			j := p.jobs["job_1"]
			j.State = "outcome_unknown"
			p.jobs["job_1"] = j
		}, "unknown untruly"},
		"an answer that its sandbox had": {func(p *picture, _ *task, _ *record) {
			j := p.jobs["job_1"]
			j.State, p.harmed = "outcome_unknown", map[string]bool{"job_1": false}
			p.jobs["job_1"] = j
		}, "unknown untruly"},
		"a second payment after its sandbox died": {func(p *picture, t *task, r *record) {
			p.harmed = map[string]bool{"job_1": true}
			r.launches[t.Job] = append(r.launches[t.Job], &launch{run: "run_2", self: "b", prompt: digest(t.input), asked: true})
		}, "paid twice"},
		"an unknown end in a sandbox that was deleted": {func(p *picture, t *task, r *record) {
			j := p.jobs["job_1"]
			j.State, p.harmed = "outcome_unknown", map[string]bool{"job_1": true}
			p.jobs["job_1"] = j
			r.launches[t.Job][0].answer = nil
		}, ""},
		"cancelled by nobody": {func(p *picture, _ *task, _ *record) {
			j := p.jobs["job_1"]
			j.State = "cancelled"
			p.jobs["job_1"] = j
		}, "answer lost"},
		"a run that was killed": {func(_ *picture, t *task, r *record) { r.launches[t.Job][0].answer = nil }, "killed"},
		"another prompt":        {func(_ *picture, t *task, r *record) { r.launches[t.Job][0].prompt = digest("x") }, "prompt altered"},
		"an event after done": {func(p *picture, _ *task, _ *record) {
			p.events["job_1"] = append(p.events["job_1"], eventRow{Job: "job_1", Seq: 6, Position: 6, Type: "log", Body: []byte(`{}`)})
		}, "stale write"},
		"an older attempt": {func(p *picture, _ *task, _ *record) {
			p.events["job_1"][2].Body = []byte(`{"state":"running","attempt":0}`)
		}, "stale write"},
		"text that came twice": {func(p *picture, t *task, _ *record) {
			p.events["job_1"][3].Body = []byte(fmt.Sprintf(`{"data":%q}`, t.answer()+t.answer()))
		}, "stale write"},
		"text that is missing": {func(p *picture, _ *task, _ *record) { p.events["job_1"][3].Body = []byte(`{"data":"The"}`) }, "gap"},
		"an event that is missing": {func(p *picture, _ *task, _ *record) {
			p.events["job_1"] = slices.Delete(p.events["job_1"], 2, 3)
		}, "gap"},
	} {
		t.Run(name, func(t *testing.T) {
			p, one, r := whole()
			tc.spoil(&p, one, r)
			found := p.judge([]*task{one}, r)
			seen := slices.ContainsFunc(found, func(d damage) bool { return d.kind == tc.want })
			if tc.want == "" && len(found) > 0 || tc.want != "" && !seen {
				t.Errorf("found %v, want %q", found, tc.want)
			}
		})
	}
}

// whole is one job to which nothing has happened.
func whole() (picture, *task, *record) {
	t := &task{order: order{Job: "j", Words: 2}, stream: true, ids: map[string]bool{"job_1": true}}
	t.write("What?")
	answer := t.answer()
	data, _ := json.Marshal(map[string]string{"data": answer})
	event := func(seq int64, kind, body string) eventRow {
		return eventRow{Job: "job_1", Seq: seq, Position: seq, Type: kind, Body: []byte(body)}
	}
	cost := 0.1
	p := picture{
		jobs:   map[string]jobRow{"job_1": {ID: "job_1", State: "succeeded", Attempt: 1, Last: 5, Ender: 1, Cost: &cost}},
		inputs: map[string]string{"job_1": t.input}, labels: map[string][]string{"j": {"job_1"}},
		events: map[string][]eventRow{"job_1": {
			event(1, "state", `{"state":"queued"}`), event(2, "state", `{"state":"running","attempt":1}`),
			event(3, "state", `{"state":"running","attempt":1}`), event(4, "partial", string(data)), event(5, "done", `{}`),
		}},
		results: map[string]string{"job_1": answer}, tokens: map[string]int64{"job_1": tokensOfAnAnswer},
	}
	r := &record{launches: map[string][]*launch{"j": {{run: "run_1", self: "a", prompt: digest(t.input), asked: true, answer: &answer}}}}
	return p, t, r
}
