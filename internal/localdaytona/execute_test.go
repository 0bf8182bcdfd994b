package localdaytona_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// leave sends a request and goes away as soon as the sandbox has the file.
func leave(t *testing.T, b box, path string, body object, file string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	q, err := http.NewRequestWithContext(ctx, "POST", b.url+b.toolbox(path), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+b.key)
	left := make(chan error, 1)
	go func() {
		r, err := http.DefaultClient.Do(q)
		if err == nil {
			r.Body.Close()
		}
		left <- err
	}()
	eventually(t, func() bool { return b.run(t, "cat "+file+" 2>/dev/null || true") != "" }, func() string { return "the command did not start" })
	cancel()
	if err := <-left; err == nil {
		t.Fatal("the request was answered before the client left")
	}
}

func TestExecute(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, object{"env": object{"GIVEN": "sandbox"}})
		path := b.toolbox("/process/execute")
		for _, tc := range []struct {
			fact   string
			body   object
			code   float64
			result string
		}{
			{"output and errors come together", object{"command": "echo a; echo b >&2; echo c"}, 0, "a\nb\nc\n"},
			{"nothing is added", object{"command": "printf x"}, 0, "x"},
			{"the code is the last command's", object{"command": "true; exit 9"}, 9, ""},
			{"the environment, and what is set on top", object{"command": "echo $GIVEN $MORE", "envs": object{"MORE": "more"}}, 0, "sandbox more\n"},
			{"set on top of the sandbox's", object{"command": "echo $GIVEN", "envs": object{"GIVEN": "mine"}}, 0, "mine\n"},
			{"a folder to start in", object{"command": "pwd", "cwd": "/usr"}, 0, "/usr\n"},
			{"a protocol's path as folder", object{"command": "ls", "cwd": "/home/daytona/workspace"}, 0, "CLAUDE.md\n"},
			{"a program that reads its input swallows the text", object{"command": "cat\necho never"}, 0, "echo never"},
			{"a shell that is killed is -1", object{"command": "kill -9 $$"}, -1, ""},
			{"background children that hold the output are waited for", object{"command": "(sleep 0.2; echo late) & echo early"}, 0, "early\nlate\n"},
			{"a timeout in time", object{"command": "echo x", "timeout": 30}, 0, "x\n"},
			{"2 MB of text", object{"command": ": '" + strings.Repeat("y", 2<<20) + "'; echo ok"}, 0, "ok\n"},
		} {
			v := b.must(t, 200, "POST", path, tc.body).json(t)
			if v["exitCode"] != tc.code || v["result"] != tc.result {
				t.Errorf("%s: %v %q, want %v %q", tc.fact, v["exitCode"], v["result"], tc.code, tc.result)
			}
		}
		if v := b.must(t, 200, "POST", path, object{"command": "pwd", "cwd": "/no/such"}).json(t); v["exitCode"] != -1.0 || !strings.Contains(v["result"].(string), "no such file") {
			t.Errorf("a folder that is not there: %v, want -1 and the reason", v)
		}
		for fact, tc := range map[string]struct {
			body object
			code string
		}{
			"a blank command":         {object{"command": "  "}, "BAD_REQUEST"},
			"an impossible name":      {object{"command": "true", "envs": object{"A-B": "x"}}, "BAD_REQUEST"},
			"a fraction as timeout":   {object{"command": "true", "timeout": 1.5}, "INVALID_REQUEST_BODY"},
			"a number as the command": {object{"command": 1}, "INVALID_REQUEST_BODY"},
		} {
			if a := b.must(t, 400, "POST", path, tc.body); a.json(t)["code"] != tc.code {
				t.Errorf("%s answers %s, want %s", fact, a.body, tc.code)
			}
		}
	})
}

func TestExecuteTimeoutKillsTheGroup(t *testing.T) {
	eachForm(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		began := time.Now()
		a := b.must(t, 408, "POST", b.toolbox("/process/execute"), object{"command": "sleep 1000 & echo $! >child; wait", "timeout": 1})
		if took := time.Since(began); took < time.Second || took > 5*time.Second {
			t.Errorf("the timeout of 1 s took %s", took)
		}
		if want := "request timeout: command execution timeout"; a.json(t)["message"] != want {
			t.Errorf("answer %s, want %q", a.body, want)
		}
		eventually(t, func() bool { return b.run(t, "kill -0 $(cat child) 2>/dev/null || echo dead") == "dead\n" }, func() string { return "the child lives on" })
	})
}

func TestOrphansAreReaped(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		// Thirty orphans at once, and the codes of the daemon's own children beside them.
		b.run(t, "for i in $(seq 30); do (setsid sh -c 'exit 3' >/dev/null 2>&1 &); done")
		for code := range 20 {
			v := b.must(t, 200, "POST", b.toolbox("/process/execute"), object{"command": "exit " + string(rune('0'+code%10))}).json(t)
			if v["exitCode"] != float64(code%10) {
				t.Errorf("exit %d was told as %v", code%10, v["exitCode"])
			}
		}
		eventually(t, func() bool {
			// Zombies below the daemon, which is the parent of the shell that asks.
			return b.run(t, `for s in /proc/[0-9]*/stat; do read -r line <$s 2>/dev/null || continue; set -- ${line##*) }; [ "$1" = Z ] && [ "$2" = $PPID ] && echo zombie; done; true`) == ""
		}, func() string { return "zombies stay" })
	})
}
