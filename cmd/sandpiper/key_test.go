package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/auth"
	"sandpiper/internal/offline/scripted"
)

// made is a key that `sandpiper key new` made.
type made struct{ Name, Key, Entry string }

func newKey(t *testing.T, args ...string) (k made) {
	t.Helper()
	code, out, said := outcome(t, asking(t, t.TempDir(), nil, append([]string{"key", "new", "--json"}, args...)...))
	if err := json.Unmarshal([]byte(out), &k); code != 0 || err != nil {
		t.Fatalf("key new %q: %d %s%s, %v", args, code, out, said, err)
	}
	return k
}

func TestANewKeyIsShownOnceWithItsEntry(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want auth.Key
	}{
		"a user":    {[]string{"--user", "ann"}, auth.Key{UserID: "ann", Scopes: auth.Jobs}},
		"more":      {[]string{"--user", "a/b", "--tenant", "acme", "--scope", "jobs,ops", "--name", "n"}, auth.Key{Name: "n", Tenant: "acme", UserID: "a/b", Scopes: auth.Jobs | auth.Ops}},
		"scopes":    {[]string{"--user", "山", "--scope", "jobs", "--scope", "admin"}, auth.Key{UserID: "山", Scopes: auth.Jobs | auth.Admin}},
		"a service": {[]string{"--service", "--scope", "ops"}, auth.Key{Scopes: auth.Ops}},
		"likewise":  {[]string{"--user", "*"}, auth.Key{Scopes: auth.Jobs}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, said := outcome(t, asking(t, t.TempDir(), nil, append([]string{"key", "new"}, tc.args...)...))
			lines := strings.Fields(out)
			if code != 0 || len(lines) != 4 || lines[0] != "key" || lines[2] != "entry" || strings.Contains(said, lines[1]) {
				t.Fatalf("%d %q %q", code, out, said)
			}
			keys, err := auth.ParseKeys(lines[3])
			if err != nil || len(keys) != 1 {
				t.Fatalf("entry %q: %v", lines[3], err)
			}
			if tc.want.Hash = auth.HashOf(lines[1]); tc.want.Name == "" {
				tc.want.Name = keys[0].Name
			}
			if keys[0] != tc.want {
				t.Errorf("made %+v, want %+v", keys[0], tc.want)
			}
		})
	}
	for name, args := range map[string][]string{
		"nobody's": nil, "two owners'": {"--user", "ann", "--service"}, "a blank": {"--user", "a b"}, "a scope": {"--user", "a", "--scope", "jbos"},
		"a bad name": {"--user", "a", "--name", "a:b"},
	} {
		if code, out, said := outcome(t, asking(t, t.TempDir(), nil, append([]string{"key", "new"}, args...)...)); code != 1 || out != "" || said == "" {
			t.Errorf("%s: %d %q %q", name, code, out, said)
		}
	}
}

func TestFromATerminalWithAKey(t *testing.T) {
	t.Parallel()
	ann, bob := newKey(t, "--user", "ann"), newKey(t, "--user", "bob")
	r := startUp(t, "SANDPIPER_API_KEYS="+ann.Entry+", "+bob.Entry)
	r.model.Handle(func(scripted.Request) scripted.Answer { return scripted.Text("It is 4.") })
	as := func(k made, args ...string) (code int, out, said string) {
		t.Helper()
		code, out, said = outcome(t, asking(t, t.TempDir(), []string{"SANDPIPER_API=" + r.url, "SANDPIPER_API_KEY=" + k.Key}, args...))
		if k.Key != "" && strings.Contains(out+said, k.Key) {
			t.Errorf("%q shows the key: %s%s", args, out, said)
		}
		return code, out, said
	}
	code, out, said := as(ann, "run", "What is 2 + 2?")
	if code != 0 || out != "It is 4.\n" {
		t.Fatalf("run: %d %q %s", code, out, said)
	}
	_, out, said = as(ann, "jobs", "--json")
	var job struct{ JobID, UserID string }
	if err := json.Unmarshal([]byte(out), &job); err != nil || job.UserID != "ann" {
		t.Fatalf("jobs: %q, %v, want one of ann's: %s", out, err, said)
	}

	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(ann.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := "SANDPIPER_API=" + r.url
	if code, out, said := outcome(t, asking(t, t.TempDir(), []string{api, "SANDPIPER_API_KEY_FILE=" + file}, "job", job.JobID)); code != 0 || !strings.Contains(out, "It is 4.") {
		t.Errorf("a key from a file: %d %s%s", code, out, said)
	}
	for name, tc := range map[string]struct {
		vars, args []string
		want       string
	}{
		"no key":          {nil, []string{"run", "hi"}, "SANDPIPER_API_KEY"},
		"a wrong one":     {[]string{"SANDPIPER_API_KEY=spk_hush"}, []string{"jobs"}, "CREDENTIAL_REFUSED"},
		"another's job":   {[]string{"SANDPIPER_API_KEY=" + bob.Key}, []string{"job", "-f", job.JobID}, "JOB_NOT_FOUND"},
		"another's name":  {[]string{"SANDPIPER_API_KEY=" + bob.Key}, []string{"run", "--user", "ann", "hi"}, "must be bob"},
		"two":             {[]string{"SANDPIPER_API_KEY=spk_hush", "SANDPIPER_API_KEY_FILE=" + file}, []string{"jobs"}, "both set"},
		"a missing file":  {[]string{"SANDPIPER_API_KEY_FILE=" + file + "x"}, []string{"jobs"}, "read SANDPIPER_API_KEY_FILE"},
		"an empty file":   {[]string{"SANDPIPER_API_KEY_FILE=" + os.DevNull}, []string{"jobs"}, "is empty"},
		"two lines of it": {[]string{"SANDPIPER_API_KEY=spk_hush\nspk_hush"}, []string{"jobs"}, "must be one word"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, said := outcome(t, asking(t, t.TempDir(), append(tc.vars, api), tc.args...))
			if code != 1 || out != "" || !strings.Contains(said, tc.want) || strings.Contains(said, "hush") {
				t.Errorf("%d %q %s, want %q", code, out, said, tc.want)
			}
		})
	}
	t.Run("a layer of the guide leaves nothing in somebody else's API", func(t *testing.T) {
		before := sandboxesOf(t, r, ann)
		code, out, said := outcome(t, examined(t, []string{api, "SANDPIPER_API_KEY=" + ann.Key}, "check", "api"))
		for _, passed := range []string{
			"✓ sandbox from snapshot", "✓ messages over the WebSocket", "✓ correct answer", "✓ the same Idempotency-Key is the same job",
			"✓ a wrong body is refused", "✓ cleaned up",
		} {
			if !strings.Contains(out, passed) {
				t.Errorf("check api has no %q: %s%s", passed, out, said)
			}
		}
		if after := sandboxesOf(t, r, ann); code != 0 || strings.Contains(out+said, ann.Key) || len(before) != 1 || !slices.Equal(before, after) {
			t.Errorf("exit code %d: %s%s; sandboxes %v, before it %v: want the one of the prompt above", code, out, said, after, before)
		}
	})
}

func sandboxesOf(t *testing.T, r running, k made) (ids []string) {
	t.Helper()
	for _, sb := range must(client.New(r.url, client.Options{Key: client.Key(k.Key)}).Sandboxes(t.Context(), 200))(t) {
		ids = append(ids, sb.SandboxID)
	}
	slices.Sort(ids)
	return ids
}
