package run

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"sandpiper/internal/job"
)

// FuzzQuote: a shell reads back what was quoted.
func FuzzQuote(f *testing.F) {
	for _, text := range []string{"", "'", "''", `'\''`, "a'b\"c`d$e\\f", "\n'\n", "é\xff", "-e", "a b\t*?[~!#"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, "\x00", "")
		for _, shell := range []string{"bash", "sh"} {
			c := exec.Command(shell, "-s")
			c.Stdin = strings.NewReader("printf %s " + quote(text) + "\n")
			got, err := c.Output()
			if err != nil || string(got) != text {
				t.Errorf("%s reads %q as %q, %v", shell, text, got, err)
			}
		}
	})
}

// FuzzReply: whatever a sandbox answers, it is read as what it says or refused.
func FuzzReply(f *testing.F) {
	for _, text := range []string{
		"", "\n\n\n", "sandpiper-follow running - 0\n/out\n\n", "sandpiper-follow ended 0 4\n/home/daytona/out\nYQpiCg==\nb29wcwo=",
		"sandpiper-follow gone+left - 4\n/out\nYQo=\n", "sandpiper-follow rest - 9\n/out\nYQo=\n", "sandpiper-follow ended x 4\n/\n\n",
		"sandpiper-follow ended 0 -4\n/\n\n", "sandpiper-follow ended 0 4\n/\n*\n", "bash: line 1: killed",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseReply(text)
		if err != nil {
			return
		}
		state, code := r.state, "-"
		if r.left {
			state += "+left"
		}
		if r.state == stateEnded {
			code = fmt.Sprint(r.exit)
		}
		again, err := parseReply(fmt.Sprintf("sandpiper-follow %s %s %d\n%s\n%s\n%s", state, code, r.size, r.path,
			base64.StdEncoding.EncodeToString(r.data), base64.StdEncoding.EncodeToString(r.stderr)))
		if err != nil || again.state != r.state || again.left != r.left || again.exit != r.exit || again.size != r.size ||
			again.path != r.path || !bytes.Equal(again.data, r.data) || !bytes.Equal(again.stderr, r.stderr) {
			t.Errorf("%q was read as %+v, and that as %+v (%v)", text, r, again, err)
		}
	})
}

func TestTheEvidenceTable(t *testing.T) {
	code := 0
	for name, tc := range map[string]struct {
		found found
		phase job.Phase
		want  Kind
	}{
		"an exit code counts before a process":        {found{exit: &code, running: true, folder: true}, job.Launched, Ended},
		"a process counts before missing files":       {found{running: true}, job.Intended, Alive},
		"nothing there, not launched":                 {found{}, job.Intended, NeverLaunched},
		"nothing there, launched":                     {found{}, job.Launched, Unknown},
		"an upload alone":                             {found{folder: true}, job.Intended, NeverLaunched},
		"an upload alone, launched":                   {found{folder: true}, job.Launched, Unknown},
		"a lock":                                      {found{folder: true, lock: true}, job.Intended, NeverStarted},
		"a lock, launched":                            {found{folder: true, lock: true}, job.Launched, Unknown},
		"a marker without a folder":                   {found{marker: true}, job.Intended, Unknown},
		"a marker, nothing asked":                     {found{folder: true, marker: true}, job.Intended, NothingAsked},
		"a marker, asked":                             {found{folder: true, marker: true, asked: true}, job.Launched, Unknown},
		"a marker, asked and answered":                {found{folder: true, marker: true, asked: true, result: true}, job.Launched, Answered},
		"a result without a request (cannot be paid)": {found{folder: true, marker: true, result: true}, job.Launched, Answered},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.found.kind(tc.phase); got != tc.want {
				t.Errorf("%+v, %s: %s, want %s", tc.found, tc.phase, got, tc.want)
			}
		})
	}
}

func TestScriptsTravelWithoutTheirComments(t *testing.T) {
	for name, script := range map[string]string{"run": runScript(), "follow": bare(common + followOnly), "look": bare(common + lookOnly), "stop": bare(common + stopOnly)} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(script, "\n#") || len(script) > 10_000 {
				t.Errorf("%d bytes, with comments", len(script))
			}
			c := exec.Command("bash", "-n")
			c.Stdin = strings.NewReader(script)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s", out)
			}
		})
	}
}
