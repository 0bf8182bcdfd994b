package migrations

import (
	"embed"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// harmless are the steps that a program of the version before does not notice: it finds everything that it names, and what
// it inserts is whole without what it does not know.
var harmless = []*regexp.Regexp{
	regexp.MustCompile(`^CREATE TABLE `),
	regexp.MustCompile(`^CREATE INDEX `), // a unique one could refuse what the program before writes
	regexp.MustCompile(`^DROP INDEX `),
	regexp.MustCompile(`^ALTER TABLE \w+ ADD COLUMN \w+ .*(DEFAULT |NULL$)`),
}

var comment = regexp.MustCompile(`--[^\n]*`)

// steps are the statements of a migration, each on one line.
func steps(text string) (all []string) {
	for _, s := range strings.Split(comment.ReplaceAllString(text, ""), ";") {
		if s = strings.Join(strings.Fields(s), " "); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// isHarmless reports whether the program before can go on beside a step. NOT NULL without a default breaks its inserts.
func isHarmless(step string) bool {
	return slices.ContainsFunc(harmless, func(r *regexp.Regexp) bool { return r.MatchString(step) }) &&
		!strings.HasSuffix(step, "NOT NULL")
}

// TestAMigrationLeavesWhatTheProgramBeforeItNeeds: a new version is rolled out beside the old one, on the new schema
// (docs/processes.md). The first migration has no program before it.
func TestAMigrationLeavesWhatTheProgramBeforeItNeeds(t *testing.T) {
	for _, engine := range []struct {
		dir   string
		files embed.FS
	}{{"sqlite", SQLite}, {"postgres", Postgres}} {
		found, err := fs.Glob(engine.files, engine.dir+"/*.sql")
		if err != nil || len(found) < 3 {
			t.Fatalf("%v, %v", found, err)
		}
		for _, name := range found[1:] {
			text, err := fs.ReadFile(engine.files, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range steps(string(text)) {
				if !isHarmless(step) {
					t.Errorf("%s: may the program before this version go on beside %q?", name, step)
				}
			}
		}
	}
}

func TestWhichStepsAreHarmless(t *testing.T) {
	for step, want := range map[string]bool{
		"ALTER TABLE jobs ADD COLUMN a BIGINT NOT NULL DEFAULT 0": true,
		"ALTER TABLE jobs ADD COLUMN a TEXT NULL":                 true,
		"CREATE INDEX i ON jobs (a)":                              true,
		"DROP INDEX i":                                            true,
		"ALTER TABLE jobs ADD COLUMN a BIGINT NOT NULL":           false,
		"ALTER TABLE jobs DROP COLUMN a":                          false,
		"ALTER TABLE jobs RENAME COLUMN a TO b":                   false,
		"CREATE UNIQUE INDEX i ON jobs (a)":                       false,
		"DROP TABLE jobs":                                         false,
		"UPDATE jobs SET state = 'done'":                          false,
	} {
		if got := isHarmless(step); got != want {
			t.Errorf("%q: %v, want %v", step, got, want)
		}
	}
}

// TestTheEnginesAreNumberedAlike: what one has, the other has.
func TestTheEnginesAreNumberedAlike(t *testing.T) {
	names := func(files embed.FS, dir string) (all []string) {
		found, _ := fs.Glob(files, dir+"/*.sql") // the pattern is a good one
		for _, name := range found {
			all = append(all, strings.TrimPrefix(name, dir+"/"))
		}
		return all
	}
	if s, p := names(SQLite, "sqlite"), names(Postgres, "postgres"); !slices.Equal(s, p) {
		t.Errorf("%v and %v", s, p)
	}
}
