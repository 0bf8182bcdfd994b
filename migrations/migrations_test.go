package migrations

import (
	"embed"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// harmless are the statements that an older program does not notice: it finds everything that it names, and what
// it inserts is whole without what it does not know.
var harmless = []*regexp.Regexp{
	regexp.MustCompile(`^CREATE TABLE `),
	regexp.MustCompile(`^CREATE INDEX `), // a unique one could refuse what an older program writes
	regexp.MustCompile(`^DROP INDEX `),
	regexp.MustCompile(`^ALTER TABLE \w+ ALTER COLUMN \w+ SET STORAGE `),
	regexp.MustCompile(`^ALTER TABLE \w+ ADD COLUMN \w+ .*(DEFAULT |NULL$)`),
}

var comment = regexp.MustCompile(`--[^\n]*`)

// floor is the statement by which a migration says which programs can no longer work with the schema: those that do not
// know this version. They refuse to start on it, and say so.
var floor = regexp.MustCompile(`^INSERT INTO settings \(name, value\) VALUES \('schema_floor', '(\d+)'\) ` +
	`ON CONFLICT \(name\) DO UPDATE SET value = excluded\.value$`)

// statements are those of a migration, each on one line.
func statements(text string) (all []string) {
	for _, s := range strings.Split(comment.ReplaceAllString(text, ""), ";") {
		if s = strings.Join(strings.Fields(s), " "); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// isHarmless reports whether an older program can go on beside a statement. NOT NULL without a default breaks its inserts.
func isHarmless(statement string) bool {
	return slices.ContainsFunc(harmless, func(r *regexp.Regexp) bool { return r.MatchString(statement) }) &&
		!strings.HasSuffix(statement, "NOT NULL")
}

// judge says what is wrong with a migration, and which floor holds after it. before held until then.
func judge(version, before int, text string) (after int, faults []string) {
	after = before
	var harm []string
	for _, s := range statements(text) {
		if raised := floor.FindStringSubmatch(s); raised != nil {
			after, _ = strconv.Atoi(raised[1]) // the expression lets digits through only
		} else if !isHarmless(s) {
			harm = append(harm, s)
		}
	}
	if after < before || after > version {
		faults = append(faults, "the floor is to be "+strconv.Itoa(after)+": it never falls, and nothing is newer than this version")
	}
	if after > before {
		return after, faults
	}
	for _, s := range harm {
		faults = append(faults, "may older programs go on beside "+strconv.Quote(s)+"? If not, raise schema_floor")
	}
	return after, faults
}

// TestAMigrationLeavesWhatOlderProgramsNeed, or says which of them can go on: a new version is rolled out beside an old one,
// on the new schema (docs/processes.md). The first migration has no program before it.
func TestAMigrationLeavesWhatOlderProgramsNeed(t *testing.T) {
	floors := map[string]int{}
	for _, engine := range []struct {
		dir   string
		files embed.FS
	}{{"sqlite", SQLite}, {"postgres", Postgres}} {
		found, err := fs.Glob(engine.files, engine.dir+"/*.sql")
		if err != nil || len(found) < 3 {
			t.Fatalf("%v, %v", found, err)
		}
		for i, name := range found[1:] {
			text, err := fs.ReadFile(engine.files, name)
			if err != nil {
				t.Fatal(err)
			}
			after, faults := judge(i+2, floors[engine.dir], string(text))
			for _, f := range faults {
				t.Errorf("%s: %s", name, f)
			}
			floors[engine.dir] = after
		}
	}
	if floors["sqlite"] != floors["postgres"] {
		t.Errorf("the engines' floors differ: %v", floors)
	}
}

func TestWhatIsWrongWithAMigration(t *testing.T) {
	const raise = "\nINSERT INTO settings (name, value) VALUES ('schema_floor', '%')\n  ON CONFLICT (name) DO UPDATE SET value = excluded.value;"
	for name, tc := range map[string]struct {
		text   string
		after  int
		faults int
	}{
		"an addition":                      {"CREATE TABLE a (b TEXT); -- DROP TABLE jobs;", 5, 0},
		"a break":                          {"DROP TABLE jobs;", 5, 1},
		"two breaks":                       {"DROP TABLE jobs;\nALTER TABLE runs RENAME COLUMN a TO b;", 5, 2},
		"a break with its floor":           {"DROP TABLE jobs;" + strings.Replace(raise, "%", "7", 1), 7, 0},
		"a break with the floor before it": {"DROP TABLE jobs;" + strings.Replace(raise, "%", "5", 1), 5, 1},
		"a floor that falls":               {"CREATE TABLE a (b TEXT);" + strings.Replace(raise, "%", "4", 1), 4, 1},
		"a floor that nobody reaches yet":  {"DROP TABLE jobs;" + strings.Replace(raise, "%", "9", 1), 9, 1},
		"a floor written in another way":   {"UPDATE settings SET value = '7' WHERE name = 'schema_floor';", 5, 1},
	} {
		t.Run(name, func(t *testing.T) {
			after, faults := judge(8, 5, tc.text)
			if after != tc.after || len(faults) != tc.faults {
				t.Errorf("floor %d, faults %q; want %d and %d", after, faults, tc.after, tc.faults)
			}
		})
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
