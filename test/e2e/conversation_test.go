package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// remembers is a model that knows a name when it was told one in the same conversation.
func remembers(r scripted.Request) scripted.Answer {
	said := r.Prompts()
	switch {
	case said[len(said)-1] != "What is my name?":
		return scripted.Text("Nice to meet you.")
	case slices.Contains(said, "My name is John"):
		return scripted.Text("Your name is John.")
	}
	return scripted.Text("I do not know.")
}

// TestAConversationGoesOn is the guide's: by the conversation's id, and by the sandbox alone.
func TestAConversationGoesOn(t *testing.T) {
	h := open(t)
	h.model.Handle(remembers)
	first := h.ask(t, client.Submit{Input: "My name is John"})
	if first.State != "succeeded" || first.ConversationID == "" {
		t.Fatalf("job = %s %+v, conversation %q", first.State, first.Error, first.ConversationID)
	}
	stranger := h.ask(t, client.Submit{Input: "What is my name?", SandboxID: first.SandboxID})
	if stranger.Result == nil || stranger.Result.Text != "I do not know." || stranger.ConversationID == first.ConversationID {
		t.Errorf("a new conversation in the same sandbox: %+v in %q", stranger.Result, stranger.ConversationID)
	}
	for name, submit := range map[string]client.Submit{
		"by its id":                 {ConversationID: first.ConversationID},
		"by its id and continue":    {ConversationID: first.ConversationID, Continue: true},
		"by its id and the sandbox": {ConversationID: first.ConversationID, SandboxID: first.SandboxID},
	} {
		h.recalls(t, name, first, submit)
	}
	// Now it is the newest one in its sandbox.
	h.recalls(t, "by its sandbox", first, client.Submit{SandboxID: first.SandboxID, Continue: true})
	h.recalls(t, "with more words to the model", first, client.Submit{ConversationID: first.ConversationID, AppendSystemPrompt: "Be brief."})
}

// recalls asks for the name in the conversation of first.
func (h *house) recalls(t *testing.T, name string, first client.Job, s client.Submit) {
	t.Helper()
	s.Input = "What is my name?"
	j := h.ask(t, s)
	if j.Result == nil || j.Result.Text != "Your name is John." || j.ConversationID != first.ConversationID || j.SandboxID != first.SandboxID {
		t.Errorf("%s: %s %+v %+v in conversation %q", name, j.State, j.Result, j.Error, j.ConversationID)
	}
	if len(j.Usage) != 1 || j.Usage[0].InputTokens != 12 || j.Usage[0].OutputTokens != 9 {
		t.Errorf("%s: usage = %+v, want that of one run and not of the whole conversation", name, j.Usage)
	}
}

// TestContinuationsRunInTheirOrder though all of them are submitted while the first still runs, and before it has a
// sandbox.
func TestContinuationsRunInTheirOrder(t *testing.T) {
	h := open(t)
	release := make(chan struct{})
	h.model.Queue(scripted.Held(release, scripted.Text("one")))
	first := h.submit(t, client.Submit{Input: "1", Priority: "bulk"})
	j, err := h.api.Job(t.Context(), first, 0)
	if err != nil {
		t.Fatal(err)
	}
	second := h.submit(t, client.Submit{Input: "2", ConversationID: j.ConversationID, Priority: "bulk"})
	third := h.submit(t, client.Submit{Input: "3", ConversationID: j.ConversationID})
	if err := h.model.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	close(release)
	for _, id := range []string{first, second, third} {
		if j := h.ended(t, id); j.State != "succeeded" {
			t.Fatalf("job = %s %+v", j.State, j.Error)
		}
	}
	for i, want := range [][]string{{"1"}, {"1", "2"}, {"1", "2", "3"}} {
		if got := h.model.Requests()[i].Prompts(); !slices.Equal(got, want) {
			t.Errorf("request %d has %q, want %q", i+1, got, want)
		}
	}
}

// TestAFailedTurnIsNotInTheConversation: a try that came to nothing, in the first turn or in a later one, is tried again
// and leaves nothing behind that the model would read.
func TestAFailedTurnIsNotInTheConversation(t *testing.T) {
	h := openTuned(t, []string{"SANDPIPER_CLAUDE_RETRIES=0"}, quick, laneless)
	h.model.Handle(remembers)
	h.model.Queue(scripted.Overloaded())
	first := h.ask(t, client.Submit{Input: "My name is John"})
	h.model.Queue(scripted.Overloaded())
	h.recalls(t, "after a retry", first, client.Submit{ConversationID: first.ConversationID})
	h.model.Queue(scripted.Overloaded(), scripted.Overloaded())
	if j := h.ask(t, client.Submit{Input: "This one fails", ConversationID: first.ConversationID, Retry: twice}); j.State != "failed" {
		t.Errorf("job = %s", j.State)
	}
	h.recalls(t, "after a failed turn", first, client.Submit{ConversationID: first.ConversationID})
	requests := h.model.Requests()
	want := []string{"My name is John", "What is my name?", "What is my name?"}
	if got := requests[len(requests)-1].Prompts(); !slices.Equal(got, want) {
		t.Errorf("the last request has %q, want %q", got, want)
	}
}

// TestAPaidTurnIsInTheConversation though it was no success: its words were said.
func TestAPaidTurnIsInTheConversation(t *testing.T) {
	h := open(t)
	h.model.Handle(remembers)
	h.model.Queue(scripted.Tool("Bash", map[string]string{"command": "echo 1", "description": "one"}))
	first := h.ask(t, client.Submit{Input: "My name is John", MaxTurns: 1})
	if first.Error == nil || first.Error.Code != "MAX_TURNS" {
		t.Fatalf("job = %s %+v", first.State, first.Error)
	}
	h.recalls(t, "after the last turn", first, client.Submit{ConversationID: first.ConversationID})
}

// TestALostConversationIsNeverBegunAnew: what cannot be continued fails, and asks the model nothing.
func TestALostConversationIsNeverBegunAnew(t *testing.T) {
	h := openTuned(t, nil, laneless)
	h.model.Queue(scripted.NoCredit())
	silent := h.ask(t, client.Submit{Input: "My name is John"})
	foreign := h.ask(t, client.Submit{UserID: "somebody", Input: "My name is John"})
	empty, err := h.api.CreateSandbox(t.Context(), "user123")
	if err != nil {
		t.Fatal(err)
	}
	asked := len(h.model.Requests())
	for name, submit := range map[string]client.Submit{
		"an unknown one":                {ConversationID: "6b1f3b4e-9f6e-4f5c-8d1e-2a3b4c5d6e7f"},
		"somebody else's":               {ConversationID: foreign.ConversationID},
		"one in which nothing was said": {ConversationID: silent.ConversationID},
		"a sandbox without any":         {SandboxID: empty.SandboxID, Continue: true},
	} {
		submit.Input = "What is my name?"
		j := h.ask(t, submit)
		if j.State != "failed" || j.Error.Code != "CONVERSATION_LOST" || j.Error.Retryable {
			t.Errorf("%s: %s %+v", name, j.State, j.Error)
		}
	}
	if n := len(h.model.Requests()); n != asked {
		t.Errorf("%d requests for conversations that are lost", n-asked)
	}
	if _, err := h.api.Submit(t.Context(), client.Submit{UserID: "user123", Input: "hi", Continue: true}); err == nil || !strings.Contains(err.Error(), "/continue") {
		t.Errorf("continue without saying what: %v", err)
	}
}

// TestACutTurnCanBeContinued: cancelled in the middle of its answer, a turn that was paid stays in the conversation.
func TestACutTurnCanBeContinued(t *testing.T) {
	h := open(t)
	h.model.Handle(remembers)
	h.model.Queue(scripted.Text("hello"), scripted.Text(strings.Repeat("word ", 2000)).Slowly(20*time.Millisecond))
	first := h.ask(t, client.Submit{Input: "hello"})
	cut := h.submit(t, client.Submit{Input: "My name is John", ConversationID: first.ConversationID, Stream: true})
	eventually(t, "a piece of the answer", func() bool { return slices.Contains(lines(h.events(t, cut)), "partial") })
	if _, err := h.api.Cancel(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	if j := h.ended(t, cut); j.State != "cancelled" {
		t.Fatalf("job = %s %+v", j.State, j.Error)
	}
	h.recalls(t, "after a cut turn", first, client.Submit{ConversationID: first.ConversationID})
}
