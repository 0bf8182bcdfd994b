package e2e

import (
	"errors"
	"strings"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// TestAPlaceForASandbox: with one sandbox at a time, the second user's job waits and says for what, nobody is given another
// sandbox meanwhile, and when the first job has ended its sandbox makes room.
func TestAPlaceForASandbox(t *testing.T) {
	model, release := scripted.New(t), make(chan struct{})
	model.Handle(func(scripted.Request) scripted.Answer { return scripted.Held(release, scripted.Text("4")) })
	h := openWith(t, model, append(usual(t, model), "SANDPIPER_MAX_SANDBOXES=1"))
	first := h.submit(t, client.Submit{UserID: "ann", Input: "What is 2+2?"})
	if err := model.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	second := h.submit(t, client.Submit{UserID: "bob", Input: "What is 2+2?"})
	const why = "a sandbox: 1 may exist at once"
	eventually(t, "the second job says what it waits for", func() bool {
		j, err := h.api.Job(t.Context(), second, 0)
		return err == nil && j.State == "queued" && j.WaitingFor == why
	})
	var refused *client.Problem
	if sb, err := h.api.CreateSandbox(t.Context(), "bob"); !errors.As(err, &refused) || refused.Code != "SANDBOX_LIMIT" {
		t.Errorf("one more was created: %+v, %v", sb, err)
	}
	close(release)
	for user, id := range map[string]string{"ann": first, "bob": second} {
		if j := h.ended(t, id); j.State != "succeeded" {
			t.Errorf("the job of %s: %s %+v", user, j.State, j.Error)
		}
	}
	told := false
	for _, e := range h.events(t, second) {
		told = told || e.Type == client.EventState && strings.Contains(e.Reason, why)
	}
	if !told {
		t.Errorf("no event of the second job says what it waited for: %q", lines(h.events(t, second)))
	}
	left, err := h.api.Sandboxes(t.Context(), 10)
	if err != nil || len(left) != 1 || left[0].UserID != "bob" {
		t.Errorf("there are %+v, %v; want one of bob", left, err)
	}
}
