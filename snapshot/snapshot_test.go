package snapshot_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sandpiper/snapshot"
)

// layout is the "Snapshot Workspace Layout" of the user's guide, written out by hand.
const layout = `
/home/daytona/workspace/
├── .system/
│   ├── index/           # JSON indexes
│   ├── prompts/         # Template prompts
│   └── logs/            # System logs
├── context/
│   ├── entities/        # People, companies
│   ├── projects/        # Project data
│   └── intelligence/    # Insights
├── decisions/
│   ├── pending/         # Awaiting decisions
│   └── completed/       # Completed decisions
├── documents/           # Source materials
├── analysis/            # Generated insights
├── deliverables/        # Work products
├── CLAUDE.md            # Claude instructions
└── README.md            # Workspace guide
`

// layoutPaths reads the drawing: path below the home → whether it is a folder.
func layoutPaths(t *testing.T) map[string]bool {
	t.Helper()
	paths := map[string]bool{"workspace": true}
	parent := ""
	for line := range strings.Lines(layout) {
		name, _, _ := strings.Cut(line, "#")
		branch := strings.IndexAny(name, "├└")
		if branch < 0 {
			continue
		}
		name = strings.TrimSpace(strings.TrimLeft(name[branch:], "├└─ "))
		path := "workspace/" + strings.TrimSuffix(name, "/")
		if branch > 0 {
			path = parent + "/" + strings.TrimSuffix(name, "/")
		} else {
			parent = path
		}
		paths[path] = strings.HasSuffix(name, "/")
	}
	if len(paths) != 17 {
		t.Fatalf("read %d paths from the drawing, want 17: %v", len(paths), paths)
	}
	return paths
}

// write makes the manifest's entries below home, as the local Daytona does.
func write(t *testing.T, home string) {
	t.Helper()
	for _, e := range snapshot.Manifest {
		path := filepath.Join(home, e.Path)
		var err error
		if e.Dir {
			err = os.Mkdir(path, e.Mode)
		} else {
			err = os.WriteFile(path, e.Content, e.Mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// tree is everything below home: path → "dir" or the content, with the mode.
func tree(t *testing.T, home string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(home), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := "dir"
		if !d.IsDir() {
			data, err := os.ReadFile(filepath.Join(home, path))
			if err != nil {
				return err
			}
			content = string(data)
		}
		found[path] = info.Mode().Perm().String() + " " + content
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestWorkspaceIsTheGuides(t *testing.T) {
	home := t.TempDir()
	write(t, home)
	got := tree(t, home)
	for path, dir := range layoutPaths(t) {
		made, ok := got[path]
		if !ok || strings.HasSuffix(made, " dir") != dir {
			t.Errorf("%s: made %.20q, want folder=%v", path, made, dir)
		}
		delete(got, path)
	}
	delete(got, ".claude")
	delete(got, ".claude/settings.json")
	if len(got) > 0 {
		t.Errorf("made beyond the layout: %v", slices.Collect(maps.Keys(got)))
	}
}

func TestDockerfileMakesTheManifest(t *testing.T) {
	home, want := t.TempDir(), t.TempDir()
	write(t, want)
	ran := 0
	for _, line := range instructions() {
		command, isRun := strings.CutPrefix(line, "RUN ")
		if !isRun || !strings.Contains(command, "/home/daytona") || strings.Contains(command, "chown") || strings.Contains(command, "useradd") {
			continue
		}
		ran++
		sh := exec.CommandContext(t.Context(), "sh", "-c", "umask 022; "+strings.ReplaceAll(command, snapshot.Home, home))
		if out, err := sh.CombinedOutput(); err != nil {
			t.Fatalf("%s\n%v: %s", command, err, out)
		}
	}
	got := tree(t, home)
	for path, content := range tree(t, want) {
		content = strings.ReplaceAll(content, snapshot.Home, home) // as the lines above were changed
		if got[path] != content {
			t.Errorf("%s: the Dockerfile makes\n%s\nand the manifest\n%s", path, got[path], content)
		}
		delete(got, path)
	}
	if len(got) > 0 || ran < 4 {
		t.Errorf("%d lines ran; made beyond the manifest: %v", ran, slices.Collect(maps.Keys(got)))
	}
}

// instructions are the Dockerfile's instructions, continued lines joined and comments left out.
func instructions() []string {
	var list []string
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(snapshot.Dockerfile, "")
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

func TestDockerfileRules(t *testing.T) {
	joined := strings.Join(instructions(), "\n")
	for fact, holds := range map[string]bool{
		"Ubuntu is the base":                  strings.Contains(joined, "FROM ubuntu:22.04"),
		"no heredoc":                          !strings.Contains(joined, "<<"),
		"no brace list, which dash keeps":     !regexp.MustCompile(`\{\w+,`).MatchString(joined),
		"it ends as the user daytona":         strings.LastIndex(joined, "USER daytona") > strings.LastIndex(joined, "RUN "),
		"it ends in the workspace":            strings.Contains(joined, "WORKDIR "+snapshot.Workspace),
		"only the claude stage is copied":     strings.Count(joined, "COPY ") == 1 && strings.Contains(joined, "COPY --from=claude"),
		"everything belongs to the user":      strings.Contains(joined, "chown -R daytona:daytona /home/daytona"),
		"nothing is downloaded from a script": !strings.Contains(joined, "install.sh"),
	} {
		if !holds {
			t.Errorf("the Dockerfile breaks a rule: %s", fact)
		}
	}
	for _, tool := range []string{"bash", "ca-certificates", "coreutils", "curl", "dnsutils", "git", "jq", "procps", "ripgrep"} {
		if !regexp.MustCompile(`apt-get install [^&]*\b` + tool + `\b`).MatchString(joined) {
			t.Errorf("the image lacks %s", tool)
		}
	}
}

func TestOneClaudeVersion(t *testing.T) {
	var pkg struct{ Dependencies map[string]string }
	var lock struct {
		Packages map[string]struct {
			Version, Resolved, Integrity string
			Dependencies                 map[string]string
		}
	}
	const name = "@anthropic-ai/claude-code"
	for file, into := range map[string]any{"package.json": &pkg, "package-lock.json": &lock} {
		if err := json.Unmarshal(snapshot.NPM()[file], into); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	if pkg.Dependencies[name] != snapshot.ClaudeVersion || lock.Packages[""].Dependencies[name] != snapshot.ClaudeVersion {
		t.Errorf("package.json %s, lock %s, want exactly %s", pkg.Dependencies[name], lock.Packages[""].Dependencies[name], snapshot.ClaudeVersion)
	}
	pins := regexp.MustCompile(regexp.QuoteMeta(name)+`@(\S+)`).FindAllStringSubmatch(snapshot.Dockerfile, -1)
	if len(pins) != 1 || pins[0][1] != snapshot.ClaudeVersion {
		t.Errorf("the Dockerfile installs %v, want %s once", pins, snapshot.ClaudeVersion)
	}
	if len(lock.Packages) < 8 {
		t.Errorf("the lock has %d packages, want one for each platform", len(lock.Packages))
	}
	for path, p := range lock.Packages {
		if path == "" {
			continue
		}
		if p.Version != snapshot.ClaudeVersion || p.Resolved != "" || !strings.HasPrefix(p.Integrity, "sha512-") {
			t.Errorf("%s: version %s, resolved %q, integrity %.10s…", path, p.Version, p.Resolved, p.Integrity)
		}
	}
}

func TestNameFollowsTheContent(t *testing.T) {
	name := snapshot.Name()
	if !regexp.MustCompile(`^sandpiper-snapshot-2-1-330-[0-9a-f]{12}$`).MatchString(name) || name != snapshot.Name() {
		t.Errorf("Name() = %q, then %q", name, snapshot.Name())
	}
	was := snapshot.Manifest[1].Content
	snapshot.Manifest[1].Content = []byte("changed")
	defer func() { snapshot.Manifest[1].Content = was }()
	if snapshot.Name() == name {
		t.Error("another content has the same name")
	}
}

func TestSettingsInTheImageAreThePolicys(t *testing.T) {
	i := slices.IndexFunc(snapshot.Manifest, func(e snapshot.Entry) bool { return e.Path == ".claude/settings.json" })
	if i < 0 {
		t.Fatal("no settings in the manifest")
	}
	var image, inline any
	if err := json.Unmarshal(snapshot.Manifest[i].Content, &image); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(snapshot.Policy().Settings, &inline); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(image)
	b, _ := json.Marshal(inline)
	if string(a) != string(b) || strings.Contains(string(snapshot.Policy().Settings), "\n") {
		t.Errorf("image %s\ninline %s", a, b)
	}
}
