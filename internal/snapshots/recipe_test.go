package snapshots

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/snapshot"
)

func TestNamesAreTheGuides(t *testing.T) {
	at := time.Date(2025, 8, 18, 23, 57, 49, 580_999_999, time.FixedZone("", 2*3600))
	if got := Name("omni", at); got != "omni-snapshot-2025-08-18T21-57-49-580Z" {
		t.Errorf("Name = %s", got)
	}
	if back, ok := At("omni", Name("omni", at)); !ok || !back.Equal(at.Truncate(time.Millisecond)) {
		t.Errorf("At = %v, %v", back, ok)
	}
	for name, why := range map[string]string{
		"omni-snapshot-2025-08-18T21-57-49-580Z-2":  "something behind it",
		"omni2-snapshot-2025-08-18T21-57-49-580Z":   "another prefix",
		"omni-snapshot-2025-13-18T21-57-49-580Z":    "no such month",
		"omni-snapshot-2025-8-18T21-57-49-580Z":     "another form",
		"omni-snapshot-":                            "no time",
		"my-omni-snapshot-2025-08-18T21-57-49-580Z": "something before it",
		snapshot.Name():                             "a name by content",
		"":                                          "nothing",
	} {
		if at, ok := At("omni", name); ok {
			t.Errorf("%q (%s) was built at %v", name, why, at)
		}
	}
}

func TestAnyChangeHasAnotherHash(t *testing.T) {
	seen := map[string]string{}
	for name, r := range map[string]Recipe{
		"own":       Own(),
		"text":      {Dockerfile: "FROM a:1\n"},
		"a line":    {Dockerfile: "FROM a:1\nRUN b\n"},
		"cpu":       {Dockerfile: "FROM a:1\n", CPU: 1},
		"memory":    {Dockerfile: "FROM a:1\n", MemoryGiB: 1},
		"disk":      {Dockerfile: "FROM a:1\n", DiskGiB: 1},
		"as a file": {Dockerfile: snapshot.Dockerfile},
	} {
		if same := seen[r.Hash()]; same != "" || len(r.Hash()) != 64 {
			t.Errorf("%s has the hash of %q: %s", name, same, r.Hash())
		}
		seen[r.Hash()] = name
		if got := hashIn(r.text()); got != r.Hash() || !strings.HasPrefix(r.text(), r.Dockerfile) {
			t.Errorf("%s carries %q, want %q behind its own text", name, got, r.Hash())
		}
	}
	a, b := Recipe{Dockerfile: "FROM a:1", From: "x"}, Recipe{Dockerfile: "FROM a:1", From: "y"}
	if a.Hash() != b.Hash() {
		t.Error("where it comes from is no content")
	}
	if got := hashIn(Recipe{Dockerfile: a.text() + "RUN more\n"}.text()); got == a.Hash() {
		t.Error("a Dockerfile that was copied from a platform keeps its old hash")
	}
}

func TestWhatCannotBeBuiltIsNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		dockerfile string
		faults     []string // none: it is fine
	}{
		"our own":                        {snapshot.Dockerfile, nil},
		"another stage's":                {"FROM a:1 AS x\nFROM b:1\ncopy --chown=1 --from=x /a \\\n  /b\nADD https://example.org/x /x\n", nil},
		"a comment":                      {"FROM a:1\n# COPY . .\nRUN echo \\\n# ADD x y\n  hi\n", nil},
		"files of a context, by line":    {"FROM a:1\n\nRUN x\\\n  y\nCOPY . /app\nadd x.tar /\n", []string{"line 5: COPY", "line 6: ADD"}},
		"nothing":                        {"\n", []string{"no FROM"}},
		"a line that never ends is read": {"FROM a:1\nCOPY a b \\", []string{"line 2: COPY"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := Recipe{Dockerfile: tc.dockerfile}.Validate()
			if (err == nil) != (tc.faults == nil) {
				t.Fatalf("Validate = %v", err)
			}
			for _, want := range tc.faults {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %v", want, err)
				}
			}
		})
	}
}

func TestTheCacheFileIsTheGuides(t *testing.T) {
	data := filepath.Join(t.TempDir(), "not", "there")
	if c, err := ReadCache(data); err != nil || c != (Cached{}) {
		t.Errorf("without a file: %+v, %v", c, err)
	}
	var s daytona.Snapshot
	s.Name, s.ID, s.Build.Dockerfile = "omni-snapshot-1", "ae79", Own().text()
	c := CacheOf(s, Local, time.UnixMilli(1755162579704))
	if err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	if back, err := ReadCache(data); err != nil || back != c {
		t.Errorf("read %+v, %v; want %+v", back, err, c)
	}
	raw, err := os.ReadFile(filepath.Join(data, "snapshot-cache.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{`"name": "omni-snapshot-1"`, `"id": "ae79"`, `"dockerHash": "` + Own().Hash() + `"`, `"ts": 1755162579704`, `"createdFrom": "current-dockerfile"`} {
		if !strings.Contains(string(raw), field) {
			t.Errorf("the file lacks %s:\n%s", field, raw)
		}
	}
	for text, from := range map[string]string{"FROM a:1": "elsewhere", Recipe{Dockerfile: "FROM a:1"}.text(): FromFile} {
		s.Build.Dockerfile = text
		if c := CacheOf(s, "", time.Now()); c.CreatedFrom != from {
			t.Errorf("%q was created from %s, want %s", text, c.CreatedFrom, from)
		}
	}
	if err := os.WriteFile(CachePath(data), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCache(data); err == nil || !strings.Contains(err.Error(), "snapshot-cache.json") {
		t.Errorf("a broken file: %v", err)
	}
}
