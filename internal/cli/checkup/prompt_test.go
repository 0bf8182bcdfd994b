package checkup

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		stdout, stderr string
		exit           int
		format         string
		want, fault    string
		do             string
	}{
		"the field result of JSON":           {`{"type":"result","is_error":false,"result":"4"}`, "", 0, "json", "4", "", ""},
		"plain text":                         {"4\n", "", 0, "text", "4\n", "", ""},
		"an error dressed as an answer":      {`{"subtype":"success","is_error":true,"result":"Invalid API key"}`, "", 1, "json", "", "Invalid API key", "set a valid one"},
		"an exit code, and words for people": {"", "cannot connect\nto the API", 1, "text", "", "exit code 1: cannot connect to the API", "ANTHROPIC_BASE_URL"},
		"something else than JSON":           {"hello", "", 0, "json", "", "not the JSON", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := answerOf(tc.stdout, tc.stderr, tc.exit, tc.format)
			if got != tc.want || (err == nil) != (tc.fault == "") {
				t.Fatalf("answerOf = %q, %v; want %q, %q", got, err, tc.want, tc.fault)
			}
			if err == nil {
				return
			}
			var r remedied
			if errors.As(err, &r); !strings.Contains(err.Error(), tc.fault) || !strings.Contains(r.remedy, tc.do) {
				t.Errorf("fault %v, remedy %q; want %q, %q", err, r.remedy, tc.fault, tc.do)
			}
		})
	}
}

func TestTheSumIsFour(t *testing.T) {
	for text, right := range map[string]bool{"4": true, "2 + 2 is 4.": true, "**4**": true, "five": false, "14": false, "44": false, " ": false} {
		if _, err := rightAnswer(text, time.Second); (err == nil) != right {
			t.Errorf("rightAnswer(%q) = %v, want right: %v", text, err, right)
		}
	}
}

func TestASkippedCheckIsNoSuccess(t *testing.T) {
	for name, tc := range map[string]struct {
		lines []Line
		want  bool
	}{
		"nothing at all":  {nil, false},
		"all went well":   {[]Line{{Status: OK}, {Status: OK}}, true},
		"one failed":      {[]Line{{Status: OK}, {Status: Failed}}, false},
		"one was skipped": {[]Line{{Status: OK}, {Status: Skipped}}, false},
	} {
		if got := Passed(tc.lines); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestALineNeverHoldsASecret(t *testing.T) {
	r := report{hide: []string{"", "sk-hush"}}
	r.add(Line{Check: "x", Found: "401 for sk-hush at sk-hush"})
	if got := r.lines[0].Found; got != "401 for [secret] at [secret]" {
		t.Errorf("shown: %s", got)
	}
}
