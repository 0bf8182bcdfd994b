package worker

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
)

// streamed is what a client that puts the partial events together has, when the text came in these pieces.
func streamed(secrets []string, ended bool, parts ...string) string {
	w := &Worker{o: Options{Secrets: secrets}, mask: newMask(secrets)}
	p := w.pieces(job.Spec{Stream: true})
	var all strings.Builder
	show := func() {
		for _, e := range p.show() {
			all.WriteString(e.Data)
		}
	}
	for _, part := range parts {
		p.hear(claude.Partial{Text: part})
		show()
	}
	if ended {
		p.hear(claude.Result{})
	}
	show()
	return all.String()
}

func TestASecretInPiecesIsMasked(t *testing.T) {
	secrets := []string{"sk-ant-secret", "sk-ant-secret-longer", "abababab", "short"}
	for name, tc := range map[string]struct {
		parts []string
		want  string
	}{
		"in one piece":                     {[]string{"key: sk-ant-secret."}, "key: [secret]."},
		"in two":                           {[]string{"key: sk-a", "nt-secret."}, "key: [secret]."},
		"byte by byte":                     {strings.Split("key: sk-ant-secret.", ""), "key: [secret]."},
		"one that begins another":          {[]string{"sk-ant-secret", "-longer!"}, "[secret]!"},
		"one whose end begins it again":    {[]string{"x abababab", " y"}, "x [secret] y"},
		"one that was cut and never ended": {[]string{"key: sk-a", " is not it"}, "key: sk-a is not it"},
		"one at the very end":              {[]string{"sk-ant-", "secret"}, "[secret]"},
		"the beginning of one at the end":  {[]string{"yes"}, "yes"},
		"in base64, byte by byte":          {strings.Split("c2stYW50LXNlY3JldA==.", ""), "[secret]==" + "."},
		"escaped, in two":                  {[]string{`sk-ant\u00`, `2dsecret.`}, "[secret]."},
		"over two lines":                   {[]string{"sk-ant\n", "-secret."}, "[secret]."},
		"none":                             {[]string{"The ans", "wer is 4."}, "The answer is 4."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := streamed(secrets, true, tc.parts...); got != tc.want {
				t.Errorf("shown %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhatCouldBeginASecretIsHeldBack(t *testing.T) {
	if got := streamed([]string{"sk-ant-secret"}, false, "key: sk-ant-sec"); got != "key: " {
		t.Errorf("shown %q before the rest came", got)
	}
}

func TestAJobThatDidNotAskHasNoPieces(t *testing.T) {
	p := (&Worker{}).pieces(job.Spec{})
	p.hear(claude.Partial{Text: "x"})
	if got := p.show(); got != nil {
		t.Errorf("shown %v", got)
	}
}

// TestAnyCutGivesTheSame cuts texts that are full of almost-secrets everywhere.
func TestAnyCutGivesTheSame(t *testing.T) {
	secrets := []string{"aabaabaa", "baabaabb"}
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.StringMatching(`[ab]{0,6}|aabaabaa|baabaabb`)).Draw(t, "parts")
		got := streamed(secrets, true, parts...)
		for _, s := range secrets {
			if strings.Contains(got, s) {
				t.Fatalf("%q shows %q", got, s)
			}
		}
	})
}
