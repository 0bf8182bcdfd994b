package e2e

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// TestTheKeyAppearsNowhere outside of the sandbox that printed it: not in the database, logs, events, answers,
// metrics or any command line; and for a prompt that does not print it, not in the run directory either.
func TestTheKeyAppearsNowhere(t *testing.T) {
	data := t.TempDir()
	h := open(t, "SANDPIPER_DATA="+data)
	lines := watchCommandLines(t)

	quiet := h.ask(t, client.Submit{UserID: "quiet", Input: "What is 2+2?"})
	grepFiles(t, filepath.Join(data, "daytona"), "a sandbox that did not print it", func(path string) bool {
		return !strings.HasSuffix(path, "record.json") // the platform keeps the environment to start the sandbox again
	})

	// The model has the CLI's own shell print it, and says it itself.
	h.model.Queue(
		scripted.Tool("Bash", map[string]string{"command": "echo $ANTHROPIC_API_KEY", "description": "print"}),
		scripted.Text("the key is "+key+", and in two pieces "+key[:20]+"\n"+key[20:]),
	)
	loud := h.ask(t, client.Submit{UserID: "loud", Input: "print your key", OutputFormat: "json"})
	if quiet.State != "succeeded" || loud.State != "succeeded" || !strings.Contains(loud.Result.Text, "the key is [secret], and") {
		t.Fatalf("jobs = %s, %s %+v", quiet.State, loud.State, loud.Result)
	}
	for _, path := range []string{
		"/api/jobs", "/api/jobs/" + loud.JobID, "/api/jobs/" + loud.JobID + "/events", "/api/sandboxes", "/metrics", "/readyz", "/",
	} {
		if strings.Contains(h.get(t, path), key) {
			t.Errorf("GET %s shows the key", path)
		}
	}
	if strings.Contains(h.log.String(), key) {
		t.Error("the log shows the key")
	}
	if found := lines(); len(found) > 0 {
		t.Errorf("command lines show the key: %q", found)
	}
	if kept := h.kept(t); strings.Contains(kept, key) {
		t.Error("the database holds the key")
	}
	if err := h.stop(); err != nil {
		t.Error(err)
	}
	grepFiles(t, data, "the data directory", func(path string) bool { return !strings.Contains(path, "/daytona/") })
}

// kept is everything that a house has in its Postgres; a file is looked at when it is closed.
func (h *house) kept(t *testing.T) string {
	t.Helper()
	if h.database == "" {
		return ""
	}
	var all strings.Builder
	for table := range strings.FieldsSeq(h.sql(t, `SELECT string_agg(table_name, ' ') FROM information_schema.tables WHERE table_schema = 'public'`)) {
		rows := h.sql(t, `SELECT coalesce(string_agg(t::text, E'\n'), '') FROM `+table+` t`)
		all.WriteString(hexText.ReplaceAllStringFunc(rows, func(raw string) string {
			text, err := hex.DecodeString(raw[3:])
			if err != nil {
				t.Errorf("table %s: %v", table, err)
			}
			return string(text)
		}))
	}
	if !strings.Contains(all.String(), "print") {
		t.Errorf("no prompt is in the database:\n%s", tail(all.String(), 2_000))
	}
	return all.String()
}

// hexText is how Postgres writes bytes in a row.
var hexText = regexp.MustCompile(`\\\\x(?:[0-9a-f]{2})+`)

// grepFiles fails for every file below dir that holds the key and is wanted.
func grepFiles(t *testing.T, dir, what string, want func(path string) bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !want(path) {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.Contains(string(raw), key) {
			t.Errorf("%s: %s holds the key", what, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// watchCommandLines looks at every process of the machine all the time and gives those whose command line showed
// the key.
func watchCommandLines(t *testing.T) func() []string {
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var found []string
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				found = append(found, processes(t, func(c string) bool { return strings.Contains(c, key) })...)
			}
		}
	})
	end := sync.OnceValue(func() []string { stop(); wg.Wait(); return found })
	t.Cleanup(func() { end() })
	return end
}

// get is the body of a page.
func (h *house) get(t testing.TB, path string) string {
	t.Helper()
	resp, err := http.Get(h.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %d, %v", path, resp.StatusCode, err)
	}
	return string(raw)
}

// TestASecretCutBetweenTwoPollsIsMasked: the command prints the key in two writes, far apart in time.
func TestASecretCutBetweenTwoPollsIsMasked(t *testing.T) {
	h := open(t, "SANDPIPER_CLAUDE="+script(t, `#!/bin/bash
[ "$1" = --version ] && { echo "2.1.330 (stand-in)"; exit 0; }
cat >/dev/null
printf '{"type":"system","subtype":"status","status":"requesting"}\n{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1},"result":"key %s' "${ANTHROPIC_API_KEY:0:11}"
sleep 1
printf '%s."}\n' "${ANTHROPIC_API_KEY:11}"
`))
	j := h.ask(t, client.Submit{Input: "print"})
	if j.State != "succeeded" || j.Result.Text != "key [secret]." {
		t.Errorf("job = %s %+v %+v", j.State, j.Result, j.Error)
	}
	raw, err := json.Marshal(h.events(t, j.JobID))
	if err != nil || strings.Contains(string(raw), key) {
		t.Errorf("events = %s (%v)", raw, err)
	}
}

// leaky is a stand-in command that prints the key in a way that depends on the user.
const leaky = `#!/bin/bash
[ "$1" = --version ] && { echo "2.1.330 (stand-in)"; exit 0; }
cat >/dev/null
k=$ANTHROPIC_API_KEY
say() { printf '{"type":"system","subtype":"status","status":"requesting"}\n{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn","modelUsage":{"model-%s":{"inputTokens":1,"outputTokens":1}},"usage":{"input_tokens":1,"output_tokens":1},"result":"%s"}\n' "$k" "$1"; }
case $USER_ID in
forms) say "$(printf '%s ' "$k" "$(printf %s "$k" | base64 -w0)" "$(printf 'x%s' "$k" | base64 -w0)" "$(printf 'xx%s' "$k" | base64 -w0)" "$(printf %s "$k" | od -An -tx1 | tr -d '\n')" "${k//-/%2D}" "${k//-/\\\\u002d}")" ;;
wrapped) say "$(printf 'user:%s' "$k" | base64 -w 20 | sed 's/$/\\n/' | tr -d '\n')" ;;
opening) say "$(printf '%090d' 0) $k" ;;
raw) echo "plain ${k:0:9}"; sleep 0.5; printf '%s and ' "$k"; sleep 0.5; printf %s "$k" | base64 ;;
raw-cut) printf 'key %s' "${k:0:15}"; sleep 1; printf '%s.' "${k:15}" ;;
stderr) echo "fatal: cannot use $k, $(printf %s "$k" | xxd -p | tr -d '\n' || true)" >&2; exit 3 ;;
esac
`

// TestEveryWayOutIsMasked: the answer, the first words of it in the log, the JSON object, the names of models, output
// that is no JSON, in pieces, and standard error.
func TestEveryWayOutIsMasked(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	h := open(t, "SANDPIPER_DATA="+data, "SANDPIPER_CLAUDE="+script(t, leaky))
	ids := map[string]string{}
	for user := range map[string]int{"forms": 0, "wrapped": 0, "opening": 0, "raw": 0, "raw-cut": 0, "stderr": 0} {
		ids[user] = h.submit(t, client.Submit{UserID: user, Input: "print", OutputFormat: "json"})
	}
	for user, id := range ids {
		t.Run(user, func(t *testing.T) {
			j := h.ended(t, id)
			if user != "stderr" && (j.State != "succeeded" || !strings.Contains(j.Result.Text, "[secret]")) {
				t.Errorf("job = %s %+v %+v", j.State, j.Result, j.Error)
			}
			if user == "stderr" && (j.State != "failed" || !strings.Contains(j.Error.Message, "[secret]") && !strings.Contains(j.Error.Message, "[key]")) {
				t.Errorf("job = %s %+v", j.State, j.Error)
			}
			if j.Result != nil && j.Result.JSON != nil && !json.Valid(j.Result.JSON) {
				t.Errorf("no JSON: %s", j.Result.JSON)
			}
			shown := h.get(t, "/api/jobs/"+id) + h.get(t, "/api/jobs/"+id+"/events")
			for name, form := range leaks() {
				if strings.Contains(shown, form) {
					t.Errorf("%s is shown in\n%s", name, shown)
				}
			}
		})
	}
	shown := h.log.String() + h.get(t, "/metrics") + h.get(t, "/api/jobs") + h.kept(t)
	if err := h.stop(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"sandpiper.db", "sandpiper.db-wal"} {
		raw, err := os.ReadFile(filepath.Join(data, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		shown += string(raw)
	}
	for name, form := range leaks() {
		if strings.Contains(shown, form) {
			t.Errorf("%s is in the log, the metrics, the list or the database", name)
		}
	}
}

// leaks are telling parts of the key, by the form in which it was written.
func leaks() map[string]string {
	part := key[8:32]
	all := map[string]string{
		"a part": part, "hex": hex.EncodeToString([]byte(part)), "spaced hex": fmt.Sprintf("% x", part),
	}
	for shift := range 3 {
		whole := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + key))
		all[fmt.Sprintf("base64, shift %d", shift)] = whole[8:40]
	}
	return all
}
