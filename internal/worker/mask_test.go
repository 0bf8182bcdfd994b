package worker

import (
	"strings"
	"testing"

	"sandpiper/internal/job"
)

func TestKnownSecretsAreMasked(t *testing.T) {
	m := newMask([]string{"sk-ant-secret", "sk-ant-secret-longer", "short", ""})
	for in, want := range map[string]string{
		"key: sk-ant-secret.":               "key: [secret].",
		"sk-ant-secret-longer":              "[secret]", // not "[secret]-longer"
		"twice sk-ant-secret sk-ant-secret": "twice [secret] [secret]",
		"short words stay short":            "short words stay short",
		"":                                  "",
	} {
		if got := m.text(in); got != want {
			t.Errorf("mask(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestEveryPartOfAnOutcomeIsMasked(t *testing.T) {
	const key = "sk-ant-secret"
	m := newMask([]string{key})
	answered := m.outcome(job.Success(job.Result{Text: "it is " + key, JSON: []byte(`{"result":"it is ` + key + `"}`)}))
	failed := m.outcome(job.FailedWith(job.Failed, job.Failure{Message: "bad key " + key}, 1))
	events := m.events([]job.Event{{Data: key}, {Message: key}, {Reason: key}})
	for _, s := range []string{
		answered.Result.Text, string(answered.Result.JSON), failed.Failure.Message,
		events[0].Data, events[1].Message, events[2].Reason,
	} {
		if strings.Contains(s, key) || !strings.Contains(s, masked) {
			t.Errorf("not masked: %q", s)
		}
	}
}
