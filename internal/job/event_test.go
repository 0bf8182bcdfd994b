package job_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"sandpiper/internal/job"
)

var at = time.UnixMilli(1_700_000_000_123)

func TestMessagesAreTheGuides(t *testing.T) {
	for name, tc := range map[string]struct {
		event job.Event
		want  string
	}{
		"log": {
			job.Log(at, "job started"),
			`{"type":"log","sandboxId":"s","jobId":"j","ts":1700000000123,"seq":3,"cursor":"c","level":"info","data":"job started"}`,
		},
		"an empty log line keeps its data": {
			job.Log(at, ""),
			`{"type":"log","sandboxId":"s","jobId":"j","ts":1700000000123,"seq":3,"cursor":"c","level":"info","data":""}`,
		},
		"result": {
			job.Event{At: at, Type: job.EventResult, Format: job.FormatText, Data: "4"},
			`{"type":"result","sandboxId":"s","jobId":"j","ts":1700000000123,"seq":3,"cursor":"c","format":"text","data":"4"}`,
		},
		"error": {
			job.Event{At: at, Type: job.EventError, Code: job.ClaudeNotAvailable, Message: "m"},
			`{"type":"error","sandboxId":"s","jobId":"j","ts":1700000000123,"seq":3,"cursor":"c","code":"CLAUDE_NOT_AVAILABLE","message":"m"}`,
		},
		"done with 0": {
			job.Event{At: at, Type: job.EventDone},
			`{"type":"done","sandboxId":"s","jobId":"j","ts":1700000000123,"seq":3,"cursor":"c","exitCode":0}`,
		},
		"state": {
			job.Event{At: at, Type: job.EventState, State: job.Running, Attempt: 2, Reason: "r"},
			`{"type":"state","sandboxId":"s","jobId":"j","ts":1700000000123,"seq":3,"cursor":"c","state":"running","attempt":2,"reason":"r"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := tc.event
			e.JobID, e.SandboxID, e.Seq, e.Cursor = "j", "s", 3, "c"
			got, err := json.Marshal(e)
			if err != nil || string(got) != tc.want {
				t.Errorf("message = %s (%v)\nwant      %s", got, err, tc.want)
			}
			raw, err := e.Body()
			if err != nil {
				t.Fatal(err)
			}
			back := job.Event{JobID: "j", SandboxID: "s", Seq: 3, Cursor: "c", At: at, Type: e.Type}
			if err := back.SetBody(raw); err != nil || !reflect.DeepEqual(back, e) {
				t.Errorf("body %s came back as %+v (%v), want %+v", raw, back, err, e)
			}
		})
	}
}

func TestAnOutcomeEndsWithOneDone(t *testing.T) {
	for name, tc := range map[string]struct {
		outcome job.Outcome
		types   []job.EventType
		exit    int
	}{
		"an answer":             {job.Success(job.Result{Text: "4", Format: job.FormatText}), []job.EventType{job.EventResult, job.EventDone}, 0},
		"a failure without run": {job.FailedWith(job.Failed, job.Failure{Code: job.SandboxNotCreated}, 0), []job.EventType{job.EventError, job.EventDone}, 1},
		"the CLI's exit code":   {job.FailedWith(job.Failed, job.Failure{Code: job.MaxTurns}, 7), []job.EventType{job.EventError, job.EventDone}, 7},
		"cancelled":             {job.FailedWith(job.Cancelled, job.Failure{Code: job.JobCancelled}, 143), []job.EventType{job.EventError, job.EventDone}, 130},
		"an answer, and a line": {
			job.Outcome{State: job.Succeeded, Result: &job.Result{Text: "4", Format: job.FormatText}, Log: "it said 4"},
			[]job.EventType{job.EventLog, job.EventResult, job.EventDone},
			0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var types []job.EventType
			events := tc.outcome.Events(at)
			for _, e := range events {
				types = append(types, e.Type)
			}
			if !reflect.DeepEqual(types, tc.types) || events[len(events)-1].ExitCode != tc.exit {
				t.Errorf("events = %v, exit %d; want %v, exit %d", types, events[len(events)-1].ExitCode, tc.types, tc.exit)
			}
		})
	}
}

func TestAJSONResultShowsTheCLIsObject(t *testing.T) {
	r := job.Result{Text: "4", Format: job.FormatJSON, JSON: json.RawMessage(`{"result":"4"}`)}
	if e := job.Success(r).Events(at)[0]; e.Format != job.FormatJSON || e.Data != `{"result":"4"}` {
		t.Errorf("result event = %+v", e)
	}
}

func TestIDsHaveTheGuidesForm(t *testing.T) {
	if id := job.NewID(at); len(id) != len("job_1700000000123_")+16 || id[:18] != "job_1700000000123_" {
		t.Errorf("NewID = %q", id)
	}
	if one, other := job.NewRunID(), job.NewRunID(); one == other {
		t.Errorf("two run ids are %s", one)
	}
}
