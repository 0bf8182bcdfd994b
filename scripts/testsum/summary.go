package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is a line of `go test -json` (go doc test2json; build events: go help buildjson).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string // "" when the event is the package's
	Elapsed     float64
	Output      string
	FailedBuild string // of a package that failed because this one did not build
}

// summary counts as it reads. Output is kept only until its test or package has passed.
type summary struct {
	w       io.Writer
	verbose bool // what a test that passed has written is shown too
	passed  int
	failed  int
	skipped int
	tests   map[string]int      // package → tests that have ended
	output  map[string][]string // package, or package and test → what it wrote
	running map[string][]string // package → tests that have begun and not ended
	begun   map[string]bool     // packages that have begun and not ended
	lines   []string            // failures and skips, one line each, for the end
}

func newSummary(w io.Writer, verbose bool) *summary {
	return &summary{w: w, verbose: verbose, tests: map[string]int{}, output: map[string][]string{}, running: map[string][]string{}, begun: map[string]bool{}}
}

// read takes the stream to its end. What is not an event, for example a word of the go command itself, is shown.
func (s *summary) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				fmt.Fprint(s.w, line)
			} else {
				s.take(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) take(e event) {
	switch {
	case strings.HasPrefix(e.Action, "build-"):
		if e.Output != "" {
			s.keep(e.ImportPath, e.Output)
		}
	case e.Action == "output":
		s.keep(key(e.Package, e.Test), e.Output)
	case e.Test != "":
		s.test(e)
	default:
		s.pkg(e)
	}
}

func (s *summary) keep(at, text string) {
	if !strings.HasPrefix(text, "=== ") { // RUN, PAUSE, CONT, NAME: noise where something failed
		s.output[at] = append(s.output[at], text)
	}
}

// test takes what happened to one test.
func (s *summary) test(e event) {
	switch e.Action {
	case "run":
		s.running[e.Package] = append(s.running[e.Package], e.Test)
		return
	case "pass":
		s.passed++
		if s.verbose {
			s.show(key(e.Package, e.Test))
		}
	case "fail":
		s.failed++
		s.lines = append(s.lines, fmt.Sprintf("FAIL  %s  %s", e.Package, e.Test))
		s.show(key(e.Package, e.Test))
	case "skip":
		s.skipped++
		s.lines = append(s.lines, fmt.Sprintf("SKIP  %s  %s", e.Package, e.Test))
		s.show(key(e.Package, e.Test))
	default: // pause, cont, bench
		return
	}
	s.tests[e.Package]++
	s.running[e.Package] = slices.DeleteFunc(s.running[e.Package], func(t string) bool { return t == e.Test })
	delete(s.output, key(e.Package, e.Test))
}

// pkg takes the end of a package. One that fails with no failed test of its own died or did not build: that counts
// as a failure, and so does each test that was still running.
func (s *summary) pkg(e event) {
	switch e.Action {
	case "start":
		s.begun[e.Package] = true
		return
	case "pass":
		fmt.Fprintf(s.w, "ok    %-44s %7.1f s  %4d tests\n", e.Package, e.Elapsed, s.tests[e.Package])
	case "fail":
		if !s.hasLine("FAIL", e.Package) {
			s.failed++
			s.lines = append(s.lines, fmt.Sprintf("FAIL  %s  %s", e.Package, s.died(e)))
		}
		fmt.Fprintf(s.w, "FAIL  %-44s %7.1f s\n", e.Package, e.Elapsed)
		s.show(e.FailedBuild)
		s.show(e.Package)
		for _, t := range s.running[e.Package] {
			s.show(key(e.Package, t))
		}
	case "skip": // no test files: nothing was skipped that exists
	default:
		return
	}
	delete(s.begun, e.Package)
	delete(s.output, e.Package)
	delete(s.tests, e.Package) // it may be tested once more, in another way
}

func (s *summary) died(e event) string {
	switch running := s.running[e.Package]; {
	case e.FailedBuild != "":
		return "(does not build)"
	case len(running) > 0:
		return "(ended during " + strings.Join(running, ", ") + ")"
	default:
		return "(failed outside its tests)"
	}
}

func (s *summary) hasLine(kind, pkg string) bool {
	return slices.ContainsFunc(s.lines, func(l string) bool { return strings.HasPrefix(l, kind+"  "+pkg+"  ") })
}

func (s *summary) show(at string) {
	if at != "" {
		fmt.Fprint(s.w, strings.Join(s.output[at], ""))
	}
	delete(s.output, at)
}

// close writes the end of the report and says whether all is well.
func (s *summary) close() bool {
	for _, pkg := range slices.Sorted(maps.Keys(s.begun)) { // the go command itself was ended: no verdict is not a good one
		s.pkg(event{Action: "fail", Package: pkg})
	}
	fmt.Fprintln(s.w)
	for _, l := range s.lines {
		fmt.Fprintln(s.w, l)
	}
	if s.passed+s.failed+s.skipped == 0 {
		fmt.Fprintln(s.w, "FAIL  no test ran")
		s.failed++
	}
	if s.skipped > 0 {
		fmt.Fprintln(s.w, "A skipped test proves nothing: here it counts as a failure.")
	}
	fmt.Fprintf(s.w, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	return s.failed == 0 && s.skipped == 0
}

func key(pkg, test string) string {
	if test == "" {
		return pkg
	}
	return pkg + "\n" + test
}
