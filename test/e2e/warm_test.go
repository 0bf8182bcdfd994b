package e2e

import (
	"database/sql"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/daytona"
	"sandpiper/internal/offline/scripted"
)

// tellsUser is a stand-in command that answers with the user whose sandbox it takes itself to be in.
const tellsUser = `#!/bin/bash
[ "$1" = --version ] && { echo "2.1.330 (stand-in)"; exit 0; }
cat >/dev/null
printf '{"type":"system","subtype":"status","status":"requesting"}\n{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1},"result":"I work for %s"}\n' "$USER_ID"
`

// warm lists the sandboxes that are ready and belong to nobody.
func (h *house) warm(t *testing.T) (ids []string) {
	t.Helper()
	all, err := h.api.Sandboxes(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, sb := range all {
		if sb.UserID == "" && sb.Status == "ready" {
			ids = append(ids, sb.SandboxID)
		}
	}
	return ids
}

// TestANewUserFindsAWarmSandbox: it was made before anybody asked, is theirs alone from then on and knows whose it is; and
// there is another one for the next.
func TestANewUserFindsAWarmSandbox(t *testing.T) {
	p := newPlatform(t, script(t, tellsUser))
	h := openWith(t, scripted.New(t), p.vars(t.TempDir()))
	taken := map[string]bool{}
	for _, user := range []string{"ann", "bob"} {
		var warm []string
		eventually(t, "a sandbox is warm", func() bool {
			warm = h.warm(t)
			return len(warm) > 0
		})
		j := h.ask(t, client.Submit{UserID: user, Input: "Whom do you work for?"})
		if j.State != "succeeded" || j.Result.Text != "I work for "+user {
			t.Errorf("%s's job = %s %+v %+v", user, j.State, j.Result, j.Error)
		}
		if !strings.Contains(strings.Join(warm, " "), j.SandboxID) || taken[j.SandboxID] {
			t.Errorf("%s's job was in %s, want one of %v that nobody had before (%v)", user, j.SandboxID, warm, taken)
		}
		taken[j.SandboxID] = true
		if again := h.ask(t, client.Submit{UserID: user, Input: "And now?"}); again.SandboxID != j.SandboxID {
			t.Errorf("%s's next job was in %s, want %s", user, again.SandboxID, j.SandboxID)
		}
	}
	eventually(t, "there is another one", func() bool { return len(h.warm(t)) > 0 })
	if got := h.get(t, "/metrics"); !strings.Contains(got, `sandpiper_sandboxes_taken_total{kind="warm"} 2`) || strings.Contains(got, `sandpiper_sandboxes_taken_total{kind="new"}`) {
		t.Error("the metrics do not tell of two warm sandboxes, and of no other, that were taken")
	}
}

// tidy is a stand-in command that says whether anything was left by one before it, and leaves something.
const tidy = `#!/bin/bash
[ "$1" = --version ] && { echo "2.1.330 (stand-in)"; exit 0; }
cat >/dev/null
found=nothing; [ -e left ] && found=something; touch left
printf '{"type":"system","subtype":"status","status":"requesting"}\n{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1},"result":"%s"}\n' "$found"
`

// TestAFreshSandboxHasNothingOfBefore, also where its user may have no more sandboxes.
func TestAFreshSandboxHasNothingOfBefore(t *testing.T) {
	model := scripted.New(t)
	h := openWith(t, model, append(usual(t, model), "SANDPIPER_CLAUDE="+script(t, tidy), "SANDPIPER_MAX_USER_SANDBOXES=1"))
	used := map[string]bool{}
	for _, step := range []struct {
		fresh bool
		want  string
	}{{false, "nothing"}, {false, "something"}, {true, "nothing"}, {false, "something"}, {true, "nothing"}} {
		j := h.ask(t, client.Submit{Input: "What is there?", FreshSandbox: step.fresh})
		if j.State != "succeeded" || j.Result.Text != step.want || step.fresh && used[j.SandboxID] {
			t.Errorf("fresh %v: %s %+v %+v in %s, want %q", step.fresh, j.State, j.Result, j.Error, j.SandboxID, step.want)
		}
		used[j.SandboxID] = true
	}
}

// vars are the variables of an up that has this platform, and that keeps sandboxes warm.
func (p *platform) vars(data string) []string {
	return []string{
		"SANDPIPER_DATA=" + data, "DAYTONA_API_URL=" + p.url, "DAYTONA_API_KEY=dtn_test_0123456789",
		"ANTHROPIC_API_KEY=" + key, "ANTHROPIC_BASE_URL=http://127.0.0.1:9", "SANDPIPER_WARM_SANDBOXES=3",
	}
}

// TestKilledWhileASandboxIsMadeWarm: the platform has it, and nobody was told. The next start finds it and makes no other.
func TestKilledWhileASandboxIsMadeWarm(t *testing.T) {
	p := newPlatform(t, script(t, tellsUser))
	made, answer := make(chan struct{}, 10), make(chan struct{})
	p.afterwards(func(r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/api/sandbox" {
			made <- struct{}{}
			<-answer
		}
	})
	data := t.TempDir()
	first := startProcess(t, scripted.New(t), data, p.vars(data)...)
	<-made
	first.kill(t)
	close(answer)
	forgive(t, filepath.Join(data, "sandpiper.db"))

	second := startProcess(t, scripted.New(t), data, p.vars(data)...)
	eventually(t, "it is warm", func() bool { return len(second.warm(t)) == 1 })
	c := daytona.New(daytona.Options{URL: p.url, Key: "dtn_test_0123456789"})
	defer c.Close()
	there, err := c.List(t.Context(), nil)
	if err != nil || len(there) != 1 || there[0].Name != second.warm(t)[0] {
		t.Errorf("the platform has %+v, %v; want the one that is warm, %v", there, err, second.warm(t))
	}
	if j := second.ask(t, client.Submit{UserID: "ann", Input: "Whom do you work for?"}); j.SandboxID != there[0].Name || j.Result.Text != "I work for ann" {
		t.Errorf("ann's job was in %s: %s %+v %+v", j.SandboxID, j.State, j.Result, j.Error)
	}
}

// forgive ends the leases of a dead worker on what it was making.
func forgive(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE sandboxes SET create_until = 0`); err != nil {
		t.Fatal(err)
	}
}
