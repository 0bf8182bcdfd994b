package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// TestNoClaudeInTheSandbox ends with the guide's code after two new sandboxes were tried.
func TestNoClaudeInTheSandbox(t *testing.T) {
	h := open(t, "SANDPIPER_CLAUDE="+script(t, "#!/bin/sh\nexit 127\n"))
	j := h.ask(t, client.Submit{Input: "What is 2+2?"})
	if j.State != "failed" || j.Error.Code != "CLAUDE_NOT_AVAILABLE" {
		t.Errorf("job = %s %+v", j.State, j.Error)
	}
	h.endsOnce(t, j, 0)
}

// TestNoKeyInTheSandbox shows the guide's line, and the CLI's own word for it.
func TestNoKeyInTheSandbox(t *testing.T) {
	h := openTuned(t, []string{"ANTHROPIC_API_KEY="}, laneless) // else the job waits until an operator has cleared the lane
	j := h.ask(t, client.Submit{Input: "What is 2+2?"})
	if j.State != "failed" || j.Error.Code != "NOT_LOGGED_IN" || !j.Error.Retryable {
		t.Errorf("job = %s %+v", j.State, j.Error)
	}
	if all := lines(h.events(t, j.JobID)); !slices.Contains(all, "ANTHROPIC_API_KEY: missing") {
		t.Errorf("events = %q", all)
	}
}

// spoil is what breaks a sandbox's home, by name.
var spoil = map[string]func(home string) error{
	"a corrupt configuration": func(home string) error {
		return os.WriteFile(filepath.Join(home, ".claude.json"), []byte("{ this is no JSON"), 0o666)
	},
	"no working directory": func(home string) error { return os.RemoveAll(filepath.Join(home, "workspace")) },
}

// TestASpoiltSandboxIsReplaced, and its job answered in another one without a try; but a sandbox that the caller
// named is not, for the caller wants that one.
func TestASpoiltSandboxIsReplaced(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	h := openTuned(t, []string{"SANDPIPER_DATA=" + data}, quick)
	for name, harm := range spoil {
		t.Run(name, func(t *testing.T) {
			ask := client.Submit{UserID: fmt.Sprintf("user%d", len(name)), Input: "What is 2+2?"}
			first := h.ask(t, ask)
			home, err := filepath.Glob(filepath.Join(data, "daytona", "*", "*", "home"))
			if err != nil || len(home) == 0 {
				t.Fatalf("no sandboxes below %s: %v", data, err)
			}
			for _, h := range home {
				if err := harm(h); err != nil {
					t.Fatal(err)
				}
			}
			named := ask
			named.SandboxID = first.SandboxID
			if j := h.ask(t, named); j.State != "failed" || j.Error.Code != "SANDBOX_BROKEN" || j.Tries != 0 {
				t.Errorf("in the caller's sandbox = %s %+v", j.State, j.Error)
			}
			second := h.ask(t, ask)
			if second.State != "succeeded" || second.SandboxID == first.SandboxID || second.Tries != 0 {
				t.Errorf("job = %s %+v in %s, want an answer, and not in %s", second.State, second.Error, second.SandboxID, first.SandboxID)
			}
		})
	}
}

// wrapped starts the real command in a place that is harmed in a way that depends on the user. It needs the
// machine's files, so there is no isolation here.
const wrapped = `#!/bin/bash
real=%q
[ "$1" = --version ] && exec "$real" --version
case $USER_ID in
stdout-full) exec "$real" "$@" >/dev/full ;;
cwd-gone) mkdir gone && cd gone && rmdir ../gone && exec "$real" "$@" ;;
binary-gone) exit 127 ;;
killed-first) kill -9 $$ ;;
home-full)
  mkdir full && exec unshare -m bash -c 'mount -t tmpfs -o size=256k none full || exit 99
    export HOME=$PWD/full; head -c 1M /dev/zero >full/fill 2>/dev/null; exec "$0" "$@"' "$real" "$@" ;;
esac
exec "$real" "$@"
`

// TestARunThatIsHarmed on its way: where nothing was asked, it is tried again; where nobody knows, it is not.
func TestARunThatIsHarmed(t *testing.T) {
	t.Parallel()
	h := openTuned(t, []string{
		"SANDPIPER_ISOLATION=none", "SANDPIPER_CLAUDE=" + script(t, fmt.Sprintf(wrapped, claudeBinary(t))),
	}, quick, everyShell)
	kill := func(signal string) scripted.Answer {
		return scripted.Tool("Bash", map[string]string{"command": "kill -" + signal + " $PPID; read -t 600 <> <(:)", "description": "kill"})
	}
	h.model.Handle(func(r scripted.Request) scripted.Answer {
		if len(r.Prompt()) < 8 { // a signal's name
			return kill(r.Prompt())
		}
		return scripted.Text("4")
	})
	ids := map[string]string{}
	if exec.Command("unshare", "-m", "true").Run() == nil { // a disk of its own takes the right to mount one
		ids["home-full"] = h.submit(t, client.Submit{UserID: "home-full", Input: "a long question", Retry: twice})
	}
	for user, input := range map[string]string{
		"stdout-full": "a long question", "cwd-gone": "a long question", "binary-gone": "a long question", "killed-first": "a long question",
		"killed": "KILL", "terminated": "TERM", "interrupted": "INT",
	} {
		ids[user] = h.submit(t, client.Submit{UserID: user, Input: input, Retry: twice})
	}
	if id, ok := ids["home-full"]; ok { // the answer is there, so it counts, whatever could not be written beside it
		if j := h.ended(t, id); j.State != "succeeded" || j.Result.Text != "4" || j.Tries != 0 {
			t.Errorf("with a full home = %s %+v %+v, tries %d", j.State, j.Result, j.Error, j.Tries)
		}
	}
	moved := func(code string, retry bool) outcome { return outcome{code: code, retry: retry, launches: 3} }
	for user, want := range map[string]outcome{
		"stdout-full": unknown(false), "killed-first": again("EXECUTION_ERROR"),
		"cwd-gone": moved("SANDBOX_BROKEN", true), "binary-gone": moved("CLAUDE_NOT_AVAILABLE", true),
		"killed": unknown(true), "terminated": unknown(true), "interrupted": unknown(true),
	} {
		t.Run(user, func(t *testing.T) {
			j := h.ended(t, ids[user])
			if want.launches == 3 { // in three sandboxes, and no try is charged
				if j.State != "failed" || j.Error.Code != want.code || j.Error.Retryable != want.retry || j.Tries != 0 || j.CostUSD != nil && *j.CostUSD > 0 {
					t.Errorf("job = %s %+v, tries %d, cost %v", j.State, j.Error, j.Tries, j.CostUSD)
				}
				h.endsOnce(t, j, 3)
				return
			}
			h.check(t, j, want)
		})
	}
}
