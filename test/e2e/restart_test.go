package e2e

import (
	"slices"
	"strings"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// TestKilledInMidJob: the process is killed with -9 while a prompt is being answered. The next one finds the run
// and takes its answer; the prompt was launched, and the model asked, once.
func TestKilledInMidJob(t *testing.T) {
	claudeBinary(t)
	model, data := scripted.New(t), t.TempDir()
	release := make(chan struct{})
	model.Handle(func(scripted.Request) scripted.Answer { return scripted.Held(release, scripted.Text("4")) })

	first := startProcess(t, model, data)
	id := first.submit(t, client.Submit{Input: "What is 2+2?"})
	if err := model.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	first.kill(t)
	second := startProcess(t, model, data)
	close(release)
	j := second.ended(t, id)
	if j.State != "succeeded" || j.Result.Text != "4" || j.Attempt != 2 || j.Tries != 0 {
		t.Errorf("job = %s %+v, attempt %d, tries %d; want the answer by attempt 2 without a try", j.State, j.Result, j.Attempt, j.Tries)
	}
	if n := len(model.Requests()); n != 1 {
		t.Errorf("the model was asked %d times", n)
	}
	events := second.events(t, id)
	for i, e := range events {
		if e.Seq != int64(i+1) {
			t.Errorf("seq %d at place %d", e.Seq, i+1)
		}
	}
	all := lines(events)
	launches := slices.DeleteFunc(slices.Clone(all), func(l string) bool { return l != "executing claude command" })
	if len(launches) != 1 || all[len(all)-1] != "done 0" {
		t.Errorf("events = %q", all)
	}
}

// TestStoppedInMidJob: SIGTERM leaves the prompt running, and the next process goes on with it.
func TestStoppedInMidJob(t *testing.T) {
	claudeBinary(t)
	model, data := scripted.New(t), t.TempDir()
	release := make(chan struct{})
	model.Handle(func(scripted.Request) scripted.Answer { return scripted.Held(release, scripted.Text("4")) })

	first := startProcess(t, model, data)
	id := first.submit(t, client.Submit{Input: "What is 2+2?"})
	if err := model.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	t.Logf("SIGTERM to exit: %v", first.terminate(t))
	close(release) // it is answered while nobody is there
	second := startProcess(t, model, data)
	if j := second.ended(t, id); j.State != "succeeded" || j.Result.Text != "4" || j.Tries != 0 {
		t.Errorf("job = %s %+v", j.State, j.Result)
	}
	if n := len(model.Requests()); n != 1 {
		t.Errorf("the model was asked %d times", n)
	}
	second.terminate(t)
	if left := processes(t, func(c string) bool { return strings.Contains(c, data) }); len(left) > 0 {
		t.Errorf("with nothing in flight, still running: %q", left)
	}
}

// TestASecondStartWakesTheSandbox: the first house stopped its idle sandbox; the next one's first job starts it again.
func TestASecondStartWakesTheSandbox(t *testing.T) {
	data := "SANDPIPER_DATA=" + t.TempDir()
	first := open(t, data)
	before := first.ask(t, client.Submit{Input: "What is 2+2?"})
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	after := open(t, data).ask(t, client.Submit{Input: "What is 2+2?"})
	if after.State != "succeeded" || after.Attempt != 1 || after.SandboxID != before.SandboxID {
		t.Errorf("job = %s by attempt %d in %s, want it answered by attempt 1 in %s", after.State, after.Attempt, after.SandboxID, before.SandboxID)
	}
}
