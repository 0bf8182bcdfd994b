package claude_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
)

// fixture is one real capture: what a version printed, how it ended, and what that means. cases.tsv has a row for
// each file: file, version, argv, exit (-9 means killed by signal 9), class, spent, model calls, stderr, note. In
// captures, argv "Args" is the command line of this package; in fixtures it is spelled out.
type fixture struct {
	dir, file, argv, class, spent, stderr string
	exit                                  int
}

func (f fixture) ending() claude.Ending {
	return claude.Ending{
		Exit: f.exit, Killed: f.exit < 0, Stderr: f.stderr,
		Announced:  strings.HasPrefix(f.argv, "Args"),
		Resumed:    strings.Contains(f.argv, "resume"),
		WantSchema: strings.Contains(f.argv, "--json-schema"),
	}
}

func (f fixture) read(t testing.TB) []byte {
	t.Helper()
	out, err := os.ReadFile(filepath.Join(f.dir, f.file))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func fixtures(t testing.TB) []fixture {
	t.Helper()
	return append(table(t, "testdata/fixtures"), table(t, "testdata/captures")...)
}

func table(t testing.TB, dir string) (all []fixture) {
	t.Helper()
	rows, err := os.ReadFile(filepath.Join(dir, "cases.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(rows), "\n"), "\n") {
		col := strings.Split(line, "\t")
		if i == 0 {
			continue
		}
		if len(col) < 8 {
			t.Fatalf("%s line %d has %d columns", dir, i+1, len(col))
		}
		exit, err := strconv.Atoi(col[3])
		if err != nil {
			t.Fatalf("%s line %d: exit %q", dir, i+1, col[3])
		}
		all = append(all, fixture{
			dir: dir, file: col[0], argv: col[2], exit: exit, class: col[4], spent: col[5], stderr: col[7],
		})
	}
	return all
}

// looksLikeSuccess are captures that 1.0.83 made indistinguishable from an answer: the context was full in the
// middle, and it says exit 0, success, all tokens. Only another version can tell (2.1 does).
var looksLikeSuccess = []string{"1.0.83/context-full.json"}

func TestEveryCaptureIsClassified(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(filepath.Join(f.dir, f.file), func(t *testing.T) {
			var d claude.Decoder
			d.Lines(f.read(t))
			v := d.Judge(f.ending())
			want := f.class
			if slices.Contains(looksLikeSuccess, f.file) {
				want = "succeeded"
			}
			if string(v.Class) != want {
				t.Errorf("class = %q (%s: %s), want %q", v.Class, v.Code, v.Message, want)
			}
			if free := v.Paid == claude.PaidNo; free != (f.spent == "no") {
				t.Errorf("paid = %q, want %q", v.Paid, f.spent)
			}
			if (v.Code == "") != (v.Class == claude.ClassSucceeded) || (v.Message == "") != (v.Code == "") {
				t.Errorf("class %q has code %q and message %q", v.Class, v.Code, v.Message)
			}
			if !v.State.Terminal() {
				t.Errorf("state = %q, which is no end", v.State)
			}
			if v.State == job.Succeeded && strings.TrimSpace(v.Text) == "" {
				t.Error("succeeded with nothing to show")
			}
		})
	}
}

func TestEveryCaptureHasItsRow(t *testing.T) {
	var rows []string
	for _, f := range fixtures(t) {
		rows = append(rows, filepath.Join(f.dir, f.file))
	}
	files, err := filepath.Glob("testdata/fixtures/*/*")
	if err != nil || len(files) < 200 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	ours, err := filepath.Glob("testdata/captures/*.jsonl")
	if err != nil || len(ours) < 20 {
		t.Fatalf("%d captures, %v", len(ours), err)
	}
	for _, file := range append(files, ours...) {
		if !slices.Contains(rows, file) {
			t.Errorf("%s has no row in cases.tsv", file)
		}
	}
}
