package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// TestAStreamedAnswerComesInPieces over the socket, while it is written, and the key in it is masked though it is cut
// between two of them.
func TestAStreamedAnswerComesInPieces(t *testing.T) {
	h := open(t)
	text := strings.Repeat("wave after wave ", 20) + key + ", and so on."
	answer := scripted.Text(text)
	answer.Pieces = 9 // bytes: the key comes in five of them
	h.model.Handle(func(scripted.Request) scripted.Answer { return answer.Slowly(80 * time.Millisecond) })
	socket, _, err := websocket.Dial(t.Context(), strings.Replace(h.URL(), "http", "ws", 1)+"/ws?userId=user123", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	socket.SetReadLimit(1 << 20)
	id := h.submit(t, client.Submit{Input: "tell", Stream: true})
	var got []client.Event
	for len(got) == 0 || got[len(got)-1].Type != client.EventDone {
		_, raw, err := socket.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var e client.Event
		if err := json.Unmarshal(raw, &e); err != nil || strings.Contains(string(raw), key) {
			t.Fatalf("message %s: %v", raw, err)
		}
		got = append(got, e)
	}
	var together strings.Builder
	n := 0
	for i, e := range got {
		if e.Seq != int64(i+1) {
			t.Errorf("event %d has seq %d", i+1, e.Seq)
		}
		if e.Type == client.EventPartial {
			together.WriteString(e.Data)
			n++
		}
	}
	want := strings.ReplaceAll(text, key, "[secret]")
	if together.String() != want {
		t.Errorf("the pieces give %q\nwant %q", &together, want)
	}
	if n < 2 || n > 25 { // some 50 pieces in four seconds, gathered for 250 ms
		t.Errorf("%d partial events", n)
	}
	if stored := h.events(t, id); !slices.Equal(stored, got) {
		t.Errorf("the socket showed %v\nSQL holds        %v", got, stored)
	}
}

// TestOnlyWhoAsksIsStreamed: the result is the same, and there is no partial event.
func TestOnlyWhoAsksIsStreamed(t *testing.T) {
	h := open(t)
	j := h.ask(t, client.Submit{Input: "What is 2+2?"})
	if slices.Contains(lines(h.events(t, j.JobID)), "partial") {
		t.Error("a partial event came unasked")
	}
}

func TestSystemPromptsReachTheModel(t *testing.T) {
	h := open(t)
	const odd = "You're \"Piet\" $HOME `id`\n--tools=Bash"
	for name, tc := range map[string]struct {
		submit        client.Submit
		whole, absent string
	}{
		"added":    {client.Submit{AppendSystemPrompt: odd}, "", ""},
		"replaced": {client.Submit{SystemPrompt: odd}, "", "software engineering"},
	} {
		t.Run(name, func(t *testing.T) {
			h.model.Forget()
			tc.submit.Input = "hi"
			if j := h.ask(t, tc.submit); j.State != "succeeded" {
				t.Fatalf("job = %s %+v", j.State, j.Error)
			}
			var asked struct{ System json.RawMessage }
			if err := json.Unmarshal(h.model.Requests()[0].Body, &asked); err != nil {
				t.Fatal(err)
			}
			quoted, _ := json.Marshal(odd)
			if !strings.Contains(string(asked.System), strings.Trim(string(quoted), `"`)) {
				t.Errorf("system = %s", asked.System)
			}
			if tc.absent != "" && strings.Contains(string(asked.System), tc.absent) {
				t.Errorf("the command's own is still there: %s", asked.System)
			}
		})
	}
}

func TestTurnsAreLimited(t *testing.T) {
	h := open(t)
	h.model.Handle(func(scripted.Request) scripted.Answer {
		return scripted.Tool("Bash", map[string]string{"command": "echo again", "description": "again"})
	})
	j := h.ask(t, client.Submit{Input: "loop", MaxTurns: 3})
	if j.State != "failed" || j.Error.Code != "MAX_TURNS" || len(h.model.Requests()) != 3 {
		t.Errorf("job = %s %+v after %d requests", j.State, j.Error, len(h.model.Requests()))
	}
}

// use is one call of a tool that the model asks for.
type use struct {
	tool  string
	input map[string]string
}

func bash(command string) use {
	return use{"Bash", map[string]string{"command": command, "description": "try"}}
}

// TestToolsAreNarrowed: what a caller leaves out does not exist, what is left runs as the policy says, and nothing gets
// more than the policy has.
func TestToolsAreNarrowed(t *testing.T) {
	write := use{"Write", map[string]string{"file_path": "/home/daytona/workspace/documents/made.txt", "content": "x"}}
	outside := use{"Write", map[string]string{"file_path": "/home/daytona/outside.txt", "content": "x"}}
	read := use{"Read", map[string]string{"file_path": "/home/daytona/workspace/README.md"}}
	echo, list, redirect, remove := bash("echo hello"), bash("ls"), bash("echo x > documents/redirected.txt"), bash("rm README.md")
	cases := map[string]struct {
		submit  client.Submit
		offered []string // among the policy's
		ran     []use
		refused []use
	}{
		"the policy's": {
			client.Submit{},
			[]string{"Bash", "Edit", "Glob", "Grep", "Read", "TodoWrite", "WebFetch", "WebSearch", "Write"},
			[]use{echo, list, redirect, write, read},
			[]use{remove, outside},
		},
		"only Read":        {client.Submit{AllowedTools: []string{"Read"}}, []string{"Read"}, []use{read}, []use{echo, write, remove}},
		"none":             {client.Submit{AllowedTools: []string{}}, nil, nil, []use{read, echo, write}},
		"Bash alone":       {client.Submit{AllowedTools: []string{"Bash"}}, []string{"Bash"}, []use{echo, list}, []use{redirect, read, write, remove}},
		"Write alone":      {client.Submit{AllowedTools: []string{"Write"}}, []string{"Write"}, []use{write}, []use{outside, echo, read}},
		"all but Bash":     {client.Submit{DisallowedTools: []string{"Bash"}}, []string{"Edit", "Glob", "Grep", "Read", "TodoWrite", "WebFetch", "WebSearch", "Write"}, []use{write, read}, []use{echo, outside}},
		"no writing":       {client.Submit{DisallowedTools: []string{"Edit", "Write"}}, []string{"Bash", "Glob", "Grep", "Read", "TodoWrite", "WebFetch", "WebSearch"}, []use{echo, read}, []use{redirect, write}},
		"Bash without ls":  {client.Submit{AllowedTools: []string{"Bash"}, DisallowedTools: []string{"Bash(ls:*)"}}, []string{"Bash"}, []use{echo}, []use{list}},
		"named and denied": {client.Submit{AllowedTools: []string{"Bash", "Read"}, DisallowedTools: []string{"Bash"}}, []string{"Read"}, []use{read}, []use{echo}},
	}
	h := open(t)
	h.model.Handle(func(r scripted.Request) scripted.Answer { // one call after the other, and then the answer
		tc, before := cases[caseOf(r)], strings.Count(string(r.Body), `"type":"tool_result"`)
		if calls := slices.Concat(tc.ran, tc.refused); before < len(calls) {
			return scripted.Tool(calls[before].tool, calls[before].input)
		}
		return scripted.Text("done")
	})
	ids := map[string]string{} // :: case → job
	for name, tc := range cases {
		tc.submit.UserID, tc.submit.Input = "user-"+strings.ReplaceAll(name, " ", "-"), "[["+name+"]]"
		ids[name] = h.submit(t, tc.submit)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			calls := slices.Concat(tc.ran, tc.refused)
			if j := h.ended(t, ids[name]); j.State != "succeeded" {
				t.Fatalf("job = %s %+v", j.State, j.Error)
			}
			requests := slices.DeleteFunc(h.model.Requests(), func(r scripted.Request) bool { return caseOf(r) != name })
			if len(requests) != len(calls)+1 {
				t.Fatalf("%d requests for %d calls of tools", len(requests), len(calls))
			}
			offered := slices.DeleteFunc(requests[0].Tools(), func(name string) bool { return name == "DeferredToolPlaceholder" })
			if !slices.Equal(offered, tc.offered) {
				t.Errorf("offered %v, want %v", offered, tc.offered)
			}
			for i, c := range calls {
				result := requests[i+1].ToolResults()
				if len(result) != 1 || result[0].IsError != (i >= len(tc.ran)) {
					t.Errorf("%s %v: %+v, want it refused: %v", c.tool, c.input, result, i >= len(tc.ran))
				}
			}
		})
	}
}

func TestToolsBeyondThePolicyAreRefusedAtOnce(t *testing.T) {
	h := open(t)
	for name, tc := range map[string]struct {
		submit  client.Submit
		pointer string
	}{
		"one that jobs do not have": {client.Submit{AllowedTools: []string{"Read", "Task"}}, "/allowedTools/1"},
		"a star":                    {client.Submit{AllowedTools: []string{"*"}}, "/allowedTools/0"},
		"a pattern that would add":  {client.Submit{AllowedTools: []string{"Bash(rm:*)"}}, "/allowedTools/0"},
		"two in one":                {client.Submit{AllowedTools: []string{"Read,Bash"}}, "/allowedTools/0"},
		"an option":                 {client.Submit{AllowedTools: []string{"--dangerously-skip-permissions"}}, "/allowedTools/0"},
		"a misspelt one":            {client.Submit{DisallowedTools: []string{"bash"}}, "/disallowedTools/0"},
		"too many turns":            {client.Submit{MaxTurns: 1001}, "/maxTurns"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.submit.UserID, tc.submit.Input = "user123", "hi"
			_, err := h.api.Submit(t.Context(), tc.submit)
			var p *client.Problem
			if !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity || len(p.Errors) != 1 || p.Errors[0].Pointer != tc.pointer {
				t.Errorf("Submit = %v, want a fault at %s", err, tc.pointer)
			}
		})
	}
}
