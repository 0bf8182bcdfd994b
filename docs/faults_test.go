package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryFaultHasItsTest: each row of faults.md names one, and there is such a test.
func TestEveryFaultHasItsTest(t *testing.T) {
	page, err := os.ReadFile("faults.md")
	if err != nil {
		t.Fatal(err)
	}
	known := testsOfTheHouse(t)
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)` \\|$")
	rows := 0
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasSuffix(line, "| test |") {
			continue
		}
		rows++
		found := named.FindStringSubmatch(line)
		switch {
		case found == nil:
			t.Errorf("no test at the end of: %s", line)
		case !known[found[1]]:
			t.Errorf("there is no %s, named by: %s", found[1], line)
		}
	}
	if rows < 15 {
		t.Errorf("only %d rows were found", rows)
	}
}

// testsOfTheHouse are the names of all tests.
func testsOfTheHouse(t *testing.T) map[string]bool {
	t.Helper()
	known, declared := map[string]bool{}, regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, found := range declared.FindAllSubmatch(source, -1) {
			known[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return known
}
