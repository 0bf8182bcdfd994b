package snapshot_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"sandpiper/internal/offline/realcli"
	"sandpiper/internal/offline/scripted"
	"sandpiper/snapshot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is one tool call that the stand-in model asks for. HOME stands for the run's home in every input.
type call struct {
	fact  string
	tool  string
	input map[string]any
	runs  bool
}

func bash(command string, runs bool) call {
	return call{command, "Bash", map[string]any{"command": command, "description": "a test"}, runs}
}

func file(tool, path string, runs bool) call {
	input := map[string]any{"file_path": path, "content": "x"}
	switch tool {
	case "Glob":
		input = map[string]any{"pattern": "*", "path": path}
	case "Grep":
		input = map[string]any{"pattern": "[A-Z]", "path": path, "output_mode": "content"}
	case "Read":
		delete(input, "content")
	}
	return call{tool + " " + path, tool, input, runs}
}

// home makes a sandbox's home with the manifest, a run directory, a file outside the workspace, and a link in the
// workspace that leads to the run directory.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir)
	for path, content := range map[string]string{
		".sandpiper/runs/r1/out": "SECRET", "other/file": "OTHER", "workspace/a.txt": "ALPHA\n", "workspace/j.json": `{"a":1}`,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, ".sandpiper"), filepath.Join(dir, "workspace/link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// play runs claude once, with the model asking for one call after the other, and compares what ran.
func play(t *testing.T, dir string, args []string, calls []call) (model *scripted.Server) {
	t.Helper()
	model = scripted.New(t)
	for _, c := range calls {
		model.Queue(scripted.Tool(c.tool, inHome(dir, c.input)))
	}
	model.Queue(scripted.Text("that was all"))
	out := realcli.Run(t, realcli.Options{
		URL: model.URL(), Prompt: "go on", Home: dir, Dir: filepath.Join(dir, "workspace"), Args: args,
	})
	if out.Text() != "that was all" {
		t.Fatalf("the run ended with %.400s", out.Text())
	}
	requests := model.Requests()
	if len(requests) != len(calls)+1 {
		t.Fatalf("%d requests for %d calls", len(requests), len(calls))
	}
	for i, c := range calls {
		t.Run(c.fact, func(t *testing.T) {
			results := requests[i+1].ToolResults()
			if len(results) != 1 || results[0].IsError == c.runs {
				t.Errorf("%s %v: %+v, want it to run: %v", c.tool, c.input, results, c.runs)
			}
		})
	}
	return model
}

// inHome replaces HOME in every text of input.
func inHome(dir string, input map[string]any) map[string]any {
	there := map[string]any{}
	for k, v := range input {
		if s, ok := v.(string); ok {
			v = strings.ReplaceAll(s, "HOME", dir)
		}
		there[k] = v
	}
	return there
}

// allowed are calls that must run, and refused those that must not: the run directory, files outside the workspace,
// and what no rule allows.
var allowed = []call{
	bash("echo hi", true),
	bash("cat a.txt | grep ALPHA | head -1 | wc -c", true),
	bash("ls -la", true),
	bash("find . -name a.txt", true),
	bash("jq .a j.json", true),
	bash("rg -n ALPHA", true),
	bash("tail -n 1 a.txt", true),
	bash("echo note > analysis/note.md", true),
	file("Read", "HOME/workspace/a.txt", true),
	file("Write", "HOME/workspace/documents/w.txt", true),
	{"Edit inside", "Edit", map[string]any{"file_path": "HOME/workspace/a.txt", "old_string": "ALPHA", "new_string": "BETA"}, true},
	file("Glob", "HOME/workspace", true),
	file("Grep", "HOME/workspace/documents", true),
	{"TodoWrite", "TodoWrite", map[string]any{"todos": []any{map[string]any{"content": "c", "status": "pending", "activeForm": "c"}}}, true},
}

var refused = []call{
	file("Read", "HOME/.sandpiper/runs/r1/out", false),
	file("Read", "HOME/workspace/link/runs/r1/out", false),
	file("Write", "HOME/.sandpiper/runs/r1/exit", false),
	file("Write", "HOME/workspace/link/runs/r1/exit", false),
	file("Glob", "HOME/.sandpiper/runs", false),
	file("Grep", "HOME/.sandpiper", false),
	bash("cat HOME/.sandpiper/runs/r1/out", false),
	bash("cat link/runs/r1/out", false),
	bash("grep -r SECRET HOME/.sandpiper", false),
	bash("echo HOME/.sandpiper/runs/r1/out | xargs cat", false),

	file("Read", "HOME/other/file", false),
	file("Write", "HOME/outside.txt", false),
	bash("echo x > HOME/outside.txt", false),
	bash("cat ../other/file", false),
	bash("echo HOME/other/file | xargs cat", false),

	bash("find . -name a.txt -delete", false),
	bash("find . -name a.txt -exec rm {} +", false),
	bash("jq -n env", false),
	bash("rg --pre sh ALPHA", false),
	bash("rm a.txt", false),
	bash("sudo ls", false),
	bash("curl -s http://127.0.0.1:1", false),
	bash("wget http://127.0.0.1:1", false),
	bash("apt list", false),
	bash("pip list", false),
	bash("npm ls", false),
	bash("env", false),
	bash("ls; touch made", false),
	bash("echo $(touch made)", false),
	bash("cat /proc/self/environ", false),
	{"NotebookEdit", "NotebookEdit", map[string]any{"notebook_path": "HOME/workspace/n.ipynb", "new_source": "x"}, false},
	{"a tool that is not on the list", "Task", map[string]any{"description": "d", "prompt": "p"}, false},
}

func TestPolicyHoldsInTheRealCLI(t *testing.T) {
	dir, p := home(t), snapshot.Policy()
	args := append(realcli.Flags("sonnet"),
		"--tools", strings.Join(p.Tools, ","), "--allowedTools", strings.Join(p.Allowed, ","), "--settings", string(p.Settings))
	model := play(t, dir, args, slices.Concat(allowed, refused))
	tools := slices.DeleteFunc(model.Requests()[0].Tools(), func(name string) bool { return name == "DeferredToolPlaceholder" })
	if want := slices.Sorted(slices.Values(p.Tools)); !slices.Equal(tools, want) {
		t.Errorf("the model is offered %v, want %v", tools, want)
	}
	after(t, dir)
}

// after looks at what the calls left in the files: a refusal that came too late would show here.
func after(t *testing.T, dir string) {
	t.Helper()
	for path, want := range map[string]string{
		"workspace/a.txt": "BETA\n", "workspace/documents/w.txt": "x", "workspace/analysis/note.md": "note\n",
		".sandpiper/runs/r1/out": "SECRET", ".sandpiper/runs/r1/exit": "", "outside.txt": "", "workspace/made": "", "workspace/n.ipynb": "",
	} {
		got, err := os.ReadFile(filepath.Join(dir, path))
		if string(got) != want || want == "" && err == nil {
			t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
		}
	}
}

func TestEveryCommandOfThePolicyRuns(t *testing.T) {
	arguments := map[string]string{
		"echo": "hi", "cat": "a.txt", "ls": "", "find": ". -name a.txt", "jq": ". j.json", "grep": "A a.txt", "rg": "A a.txt",
		"wc": "-l a.txt", "head": "-1 a.txt", "tail": "-1 a.txt",
	}
	dir, p := home(t), snapshot.Policy()
	var calls []call
	for _, command := range p.Commands {
		calls = append(calls, bash(strings.TrimSpace(command+" "+arguments[command]), true))
	}
	if len(calls) != len(arguments) {
		t.Errorf("the policy names %v", p.Commands)
	}
	args := append(realcli.Flags("haiku"), "--tools", "Bash", "--allowedTools", strings.Join(p.Allowed, ","), "--settings", string(p.Settings))
	play(t, dir, args, calls)
}

func TestSettingsFileHoldsTheSameByHand(t *testing.T) {
	dir := home(t)
	play(t, dir, []string{"--output-format", "stream-json", "--verbose", "--model", "sonnet"}, []call{
		file("Write", "HOME/workspace/documents/w.txt", true),
		bash("cat a.txt", true),
		file("Write", "HOME/outside.txt", false),
		file("Read", "HOME/.sandpiper/runs/r1/out", false),
		bash("rm a.txt", false),
		{"NotebookEdit", "NotebookEdit", map[string]any{"notebook_path": "HOME/workspace/n.ipynb", "new_source": "x"}, false},
	})
}
