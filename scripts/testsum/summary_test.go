package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSummary runs the real go command on small modules and reads what it says.
func TestSummary(t *testing.T) {
	const head = "package a\nimport \"testing\"\n"
	for name, tc := range map[string]struct {
		source string // of a_test.go
		ok     bool
		last   string
		has    []string
	}{
		"a test that passes, with a subtest": {
			head + `func TestA(t *testing.T) { t.Log("hush"); t.Run("b", func(*testing.T) {}) }`,
			true, "2 passed, 0 failed, 0 skipped",
			[]string{"ok    a", "2 tests"},
		},
		"a failure, with its words": {
			head + `func TestA(t *testing.T) { t.Error("four is not five") }; func TestB(*testing.T) {}`,
			false, "1 passed, 1 failed, 0 skipped",
			[]string{"four is not five", "FAIL  a  TestA"},
		},
		"a skip is a failure": {
			head + `func TestA(t *testing.T) { t.Skip("no Redis here") }`,
			false, "0 passed, 0 failed, 1 skipped",
			[]string{"no Redis here", "SKIP  a  TestA"},
		},
		"a panic, with its trace": {
			head + `func TestA(*testing.T) { panic("oh no") }`,
			false, "0 passed, 1 failed, 0 skipped",
			[]string{"panic: oh no", "a_test.go"},
		},
		"a test that ends its process": {
			"package a\nimport (\"os\"; \"testing\")\n" + `func TestA(*testing.T) { os.Exit(3) }`,
			false, "0 passed, 1 failed, 0 skipped",
			[]string{"ended during TestA"},
		},
		"a failure in TestMain after the tests": {
			"package a\nimport (\"os\"; \"testing\")\n" +
				`func TestA(*testing.T) {}; func TestMain(m *testing.M) { m.Run(); println("leak"); os.Exit(1) }`,
			false, "1 passed, 1 failed, 0 skipped",
			[]string{"leak", "failed outside its tests"},
		},
		"what does not build": {
			head + `func TestA(*testing.T) { return 1 }`,
			false, "0 passed, 1 failed, 0 skipped",
			[]string{"too many return values", "does not build"},
		},
		"no test at all": {
			"package a\n",
			false, "0 passed, 1 failed, 0 skipped",
			[]string{"no test ran"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			s := newSummary(&out, false)
			if err := s.read(strings.NewReader(goTest(t, tc.source))); err != nil {
				t.Fatal(err)
			}
			if ok := s.close(); ok != tc.ok {
				t.Errorf("verdict %t, want %t", ok, tc.ok)
			}
			said := strings.TrimSpace(out.String())
			if last := said[strings.LastIndex(said, "\n")+1:]; last != tc.last {
				t.Errorf("last line %q, want %q", last, tc.last)
			}
			for _, want := range tc.has {
				if !strings.Contains(said, want) {
					t.Errorf("no %q in:\n%s", want, said)
				}
			}
		})
	}
}

// goTest gives the JSON of a module with one test file.
func goTest(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module a\n\ngo 1.26\n", "a_test.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "-count=1", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off")
	out, _ := cmd.Output() // the verdict is in the stream
	return string(out)
}

func TestWordsOfTheGoCommandAreShown(t *testing.T) {
	var out strings.Builder
	s := newSummary(&out, false)
	if err := s.read(strings.NewReader("go: no such tool\n{\"Action\":\"pass\",\"Package\":\"a\"}")); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "go: no such tool\n") {
		t.Errorf("got %q", out.String())
	}
	if s.close() {
		t.Error("nothing ran, and the verdict is good")
	}
}

func TestAPackageWithoutAVerdictHasFailed(t *testing.T) {
	var out strings.Builder
	s := newSummary(&out, false)
	err := s.read(strings.NewReader(`{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestA"}
{"Action":"output","Package":"a","Test":"TestA","Output":"half a line\n"}
{"Action":"start","Package":"b"}
{"Action":"run","Package":"b","Test":"TestB"}
{"Action":"pass","Package":"b","Test":"TestB"}
{"Action":"pass","Package":"b"}
`))
	if err != nil {
		t.Fatal(err)
	}
	if s.close() {
		t.Error("the go command was killed, and the verdict is good")
	}
	for _, want := range []string{"half a line", "(ended during TestA)", "1 passed, 1 failed, 0 skipped"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

// TestVerbose: with -v a test that passes says what it measured.
func TestVerbose(t *testing.T) {
	const stream = `{"Action":"output","Package":"a","Test":"TestA","Output":"a_test.go:3: 46 MB\n"}
{"Action":"pass","Package":"a","Test":"TestA"}
{"Action":"pass","Package":"a"}
`
	for verbose, want := range map[bool]bool{true: true, false: false} {
		var out strings.Builder
		s := newSummary(&out, verbose)
		if err := s.read(strings.NewReader(stream)); err != nil {
			t.Fatal(err)
		}
		if shown := strings.Contains(out.String(), "46 MB"); shown != want {
			t.Errorf("verbose %v shows it: %v", verbose, shown)
		}
	}
}
