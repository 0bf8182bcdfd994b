package main

import (
	"encoding/json"
	"strings"
	"testing"

	"sandpiper/internal/pgtest"
	"sandpiper/internal/store"
)

func TestTheSchemaIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	vars := []string{"DATABASE_URL=" + pgtest.URL(t)}
	run := func(args ...string) (int, string, string) { return outcome(t, asking(t, t.TempDir(), vars, args...)) }

	if code, out, said := run("migrate", "status"); code != 3 || !strings.Contains(out, "not yet: run sandpiper migrate up") {
		t.Errorf("status of an empty database: exit code %d\n%s\n%s", code, out, said)
	}
	if code, out, said := run("migrate", "up"); code != 0 || !strings.Contains(out, "from version 0 to ") {
		t.Errorf("up: exit code %d\n%s\n%s", code, out, said)
	}
	if code, out, said := run("migrate", "up"); code != 0 || !strings.Contains(out, "already") {
		t.Errorf("up again: exit code %d\n%s\n%s", code, out, said)
	}
	code, out, said := run("migrate", "status", "--json")
	var steps []store.Migration
	if err := json.Unmarshal([]byte(out), &steps); err != nil || code != 0 || len(steps) == 0 {
		t.Fatalf("status: exit code %d, %v\n%s\n%s", code, err, out, said)
	}
	for _, s := range steps {
		if s.Applied.IsZero() || s.Name == "" {
			t.Errorf("step %+v is not applied", s)
		}
	}
}

func TestMigrateSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		vars []string
		args []string
		want string
	}{
		"no database":          {nil, []string{"migrate", "up"}, "DATABASE_URL must be set: postgres://"},
		"a file":               {[]string{"DATABASE_URL=sqlite:db"}, []string{"migrate", "status"}, "DATABASE_URL must be postgres://"},
		"a server that is not": {[]string{"DATABASE_URL=postgres://u:hush@127.0.0.1:1/d"}, []string{"migrate", "up"}, "connect"},
		"too many words":       {nil, []string{"migrate", "up", "please"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, said := outcome(t, asking(t, t.TempDir(), tc.vars, tc.args...))
			if code != 1 || !strings.Contains(said, tc.want) || strings.Contains(said+out, "hush") {
				t.Errorf("exit code %d\n%s\n%s", code, out, said)
			}
		})
	}
}
