package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sandpiper/internal/daytona"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/snapshots"
	"sandpiper/internal/store"
)

// listed are the lines of `snapshot list --json`.
func listed(t *testing.T, out string) (list []snapshots.Listed) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var l snapshots.Listed
		if err := d.Decode(&l); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		list = append(list, l)
	}
	return list
}

// TestSnapshotsFromATerminal: what an operator does, on the local Daytona of a data directory that nobody serves.
func TestSnapshotsFromATerminal(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	do := func(want int, args ...string) (out, said string) {
		t.Helper()
		start := asking
		if args[0] == "build" || args[0] == "prune" || args[0] == "verify" { // they do several things at once
			start = command
		}
		code, out, said := outcome(t, start(t, data, nil, append([]string{"snapshot"}, args...)...))
		if code != want {
			t.Fatalf("snapshot %v: exit code %d, want %d\n%s%s", args, code, want, out, said)
		}
		return out, said
	}
	out, said := do(0, "build")
	first := strings.TrimSpace(out)
	if _, ours := snapshots.At("sandpiper", first); !ours || !strings.Contains(said, "claude --version: 2.1.330") {
		t.Fatalf("built %q:\n%s", out, said)
	}
	cache, err := snapshots.ReadCache(data)
	if err != nil || cache.Name != first || cache.ID == "" || cache.DockerHash != snapshots.Own().Hash() || cache.CreatedFrom != "current-dockerfile" {
		t.Errorf("the cache file has %+v, %v", cache, err)
	}
	if out, said := do(0, "build"); strings.TrimSpace(out) != first || !strings.Contains(said, "nothing to build: "+first) {
		t.Errorf("built again: %q\n%s", out, said)
	}
	if out, _ := do(0, "build", "--dry-run", "--force", "--json"); !strings.Contains(out, `"built":false`) || strings.Contains(out, first) {
		t.Errorf("foretold %s", out)
	}

	if _, said := do(1, "use", first); !strings.Contains(said, "DATABASE_URL is not set") {
		t.Errorf("without a deployment: %s", said)
	}
	if _, said := do(1, "prune", "--keep", "0"); !strings.Contains(said, "nothing was deleted") {
		t.Errorf("without a deployment: %s", said)
	}
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(data, "sandpiper.db"), store.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, said := do(1, "use", first); !strings.Contains(said, "sandpiper stop") {
		t.Errorf("while an up has the database: %s", said)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, said := do(1, "use", "nowhere"); !strings.Contains(said, `no snapshot "nowhere"`) {
		t.Errorf("one that is not there: %s", said)
	}
	do(0, "use", first)
	do(0, "activate")

	second, _ := do(0, "build", "--force")
	out, _ = do(0, "list", "--json")
	if list := listed(t, out); len(list) != 2 || list[0].Name != strings.TrimSpace(second) || !list[1].Current || !list[0].UpToDate {
		t.Errorf("listed %+v", list)
	}
	if out, _ := do(0, "prune", "--keep", "0", "--dry-run"); !strings.Contains(out, "would delete  "+strings.TrimSpace(second)) || !strings.Contains(out, "keep          "+first) {
		t.Errorf("foretold\n%s", out)
	}
	do(0, "prune", "--keep", "0")
	if out, _ := do(0, "list", "--all"); strings.Contains(out, strings.TrimSpace(second)) || !strings.Contains(out, first) || !strings.Contains(out, "the platform's") {
		t.Errorf("after it there are\n%s", out)
	}

	out, said = do(0, "verify")
	for _, check := range []string{"✓ snapshot active: " + first, "✓ sandbox from snapshot", "✓ CLI version", "✓ workspace", "✓ correct answer", "✓ cleaned up"} {
		if !strings.Contains(out, check) {
			t.Errorf("verify has no %q:\n%s%s", check, out, said)
		}
	}
	for _, p := range processesOf(data) {
		t.Errorf("left running: %s", p)
	}
}

func TestASnapshotThatCannotBeBuilt(t *testing.T) {
	t.Parallel()
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "Dockerfile")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tc := range map[string]struct {
		vars, args []string
		want       string
	}{
		"files of a context":     {nil, []string{"--dockerfile", file("FROM debian:12\nCOPY . /app\n")}, "line 2: COPY needs --from=STAGE"},
		"no such file":           {nil, []string{"--dockerfile", "/no/such"}, "no such file"},
		"the platform refuses":   {nil, []string{"--dockerfile", file("FROM debian:12\nRUN true\n")}, "runs no Dockerfile"},
		"a prefix with a blank":  {nil, []string{"--prefix", "a b"}, "SANDPIPER_SNAPSHOT_PREFIX must be"},
		"a URL without a key":    {[]string{"DAYTONA_API_URL=http://127.0.0.1:1/api"}, nil, "DAYTONA_API_KEY must be set"},
		"a negative size":        {nil, []string{"--memory", "-1"}, "--memory must not be negative"},
		"nobody answers, at all": {[]string{"DAYTONA_API_URL=http://127.0.0.1:1/api", "DAYTONA_API_KEY=dtn_hush"}, nil, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, said := outcome(t, asking(t, filepath.Join(t.TempDir(), "data"), tc.vars, append([]string{"snapshot", "build"}, tc.args...)...))
			if code != 1 || out != "" || !strings.Contains(said, tc.want) || strings.Contains(said, "hush") {
				t.Errorf("exit code %d, %q\n%s", code, out, said)
			}
		})
	}
}

// TestAnInterruptedBuildSaysWhatIsLeft: the platform goes on with it.
func TestAnInterruptedBuildSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	var name atomic.Value
	name.Store("")
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			var q struct{ Name string }
			if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
				t.Error(err)
			}
			name.Store(q.Name)
			fmt.Fprintf(w, `{"id":"s1","name":%q,"state":"pending"}`, q.Name)
		case r.URL.Path == "/api/snapshots":
			fmt.Fprint(w, `{"items":[],"totalPages":0}`)
		default:
			fmt.Fprintf(w, `{"id":"s1","name":%q,"state":"pending"}`, name.Load())
		}
	}))
	defer platform.Close()
	cmd := command(t, filepath.Join(t.TempDir(), "data"), []string{"DAYTONA_API_URL=" + platform.URL + "/api", "DAYTONA_API_KEY=dtn_x"}, "snapshot", "build")
	code, out, said := interruptedAt(t, cmd, ": pending")
	if code != interrupted || out != "" || !strings.Contains(said, name.Load().(string)+" may go on being built") || !strings.Contains(said, "`sandpiper snapshot build` follows it") {
		t.Errorf("exit code %d, %q\n%s", code, out, said)
	}
}

// TestSnapshotsOfADaytonaThatIsServed: the commands find it without being told where.
func TestSnapshotsOfADaytonaThatIsServed(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := startPart(t, data, []string{"SANDPIPER_DAYTONA_ADDR=127.0.0.1:0"}, "daytona")
	code, out, said := outcome(t, command(t, data, nil, "snapshot", "build", "--prefix", "mine"))
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, said)
	}
	all, err := p.platform(t).Snapshots(t.Context(), "mine-snapshot-")
	if err != nil || len(all) != 1 || all[0].Name != strings.TrimSpace(out) {
		t.Errorf("it has %+v, %v; want %q", all, err, out)
	}
	if code, said := p.stopped(t); code != 0 {
		t.Errorf("the daytona ended with %d: %s", code, said)
	}
}

// TestSnapshotsOfAFleet: the deployment is in Postgres, the platform is elsewhere, and what is in use there stays.
func TestSnapshotsOfAFleet(t *testing.T) {
	t.Parallel()
	p := startPart(t, filepath.Join(t.TempDir(), "daytona"), []string{"SANDPIPER_DAYTONA_ADDR=127.0.0.1:0"}, "daytona")
	vars := []string{
		"DATABASE_URL=" + pgtest.URL(t), "DAYTONA_API_URL=" + p.exported(t, "DAYTONA_API_URL"), "DAYTONA_API_KEY=" + p.exported(t, "DAYTONA_API_KEY"),
	}
	data := filepath.Join(t.TempDir(), "data")
	do := func(want int, args ...string) (out, all string) {
		t.Helper()
		code, out, said := outcome(t, asking(t, data, vars, args...))
		if code != want {
			t.Fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, out, said)
		}
		return strings.TrimSpace(out), out + said
	}
	if _, all := do(1, "snapshot", "prune"); !strings.Contains(all, "nothing was deleted") || !strings.Contains(all, "sandpiper migrate up") {
		t.Errorf("with a database that has no schema: %s", all)
	}
	do(0, "migrate", "up")
	first, _ := do(0, "snapshot", "build")
	second, _ := do(0, "snapshot", "build", "--force")
	third, _ := do(0, "snapshot", "build", "--force")
	do(0, "snapshot", "use", first)

	platform := p.platform(t)
	box, err := platform.Create(t.Context(), daytona.Create{Name: "somebodys", Snapshot: second})
	if err != nil {
		t.Fatal(err)
	}
	do(0, "snapshot", "prune", "--keep", "0")
	var left []string
	for _, s := range must(platform.Snapshots(t.Context(), "sandpiper-snapshot-20"))(t) {
		left = append(left, s.Name)
	}
	if slices.Sort(left); !slices.Equal(left, []string{first, second}) {
		t.Errorf("of %s, %s and %s there are left %v: want the current one, and that of a sandbox", first, second, third, left)
	}
	if err := platform.Delete(t.Context(), box.ID); err != nil {
		t.Error(err)
	}
	if code, said := p.stopped(t); code != 0 {
		t.Errorf("the daytona ended with %d: %s", code, said)
	}
}
