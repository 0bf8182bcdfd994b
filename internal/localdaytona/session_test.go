package localdaytona_test

import (
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSessionEndpoints(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		path := b.toolbox("/process/session")
		if a := b.must(t, 201, "POST", path, object{"sessionId": "one"}); len(a.body) != 0 {
			t.Errorf("create answers %q, want an empty body", a.body)
		}
		for name, tc := range map[string]struct {
			method, path string
			body         any
			status       int
			code, text   string
		}{
			"a session exists once":            {"POST", path, object{"sessionId": "one"}, 409, "CONFLICT", "conflict: session already exists"},
			"a session has an id":              {"POST", path, object{}, 400, "INVALID_REQUEST_BODY", ""},
			"a body is JSON":                   {"POST", path, "text", 400, "INVALID_REQUEST_BODY", ""},
			"entrypoint is reserved":           {"POST", path, object{"sessionId": "entrypoint"}, 400, "BAD_REQUEST", ""},
			"entrypoint is not deleted":        {"DELETE", path + "/entrypoint", nil, 400, "BAD_REQUEST", ""},
			"an id is no path":                 {"POST", path, object{"sessionId": ".."}, 400, "BAD_REQUEST", ""},
			"an unknown session":               {"GET", path + "/none", nil, 404, "NOT_FOUND", "not found: session not found"},
			"an unknown session's end":         {"DELETE", path + "/none", nil, 404, "NOT_FOUND", "not found: session not found"},
			"an unknown command":               {"GET", path + "/one/command/none", nil, 404, "NOT_FOUND", "not found: command not found"},
			"an unknown command's log":         {"GET", path + "/one/command/none/logs", nil, 404, "NOT_FOUND", "not found: command not found"},
			"an unknown command's input":       {"POST", path + "/one/command/none/input", object{"data": "x"}, 404, "NOT_FOUND", "not found: command not found"},
			"input needs data":                 {"POST", path + "/one/command/none/input", object{"data": ""}, 400, "BAD_REQUEST", ""},
			"a session by name of another box": {"GET", path + "/%2e%2e", nil, 404, "NOT_FOUND", "not found: session not found"},
		} {
			a := b.must(t, tc.status, tc.method, tc.path, tc.body)
			v := a.json(t)
			if v["code"] != tc.code || v["statusCode"] != float64(tc.status) || (tc.text != "" && v["message"] != tc.text) {
				t.Errorf("%s: answer %s, want code %s, text %q", name, a.body, tc.code, tc.text)
			}
		}
		a := b.must(t, 500, "POST", path+"/none/exec", object{"command": "true"})
		if want := `{"statusCode":500,"message":"failed to execute command: not found: session not found","timestamp":"0001-01-01T00:00:00Z","path":""}`; strings.TrimSpace(string(a.body)) != want {
			t.Errorf("exec in an unknown session answers %s, want %s", a.body, want)
		}
		if a := b.must(t, 400, "POST", path+"/one/exec", object{"command": " \n"}); len(a.body) != 0 {
			t.Errorf("exec of a blank command answers %q, want an empty body", a.body)
		}
		v := b.must(t, 200, "GET", path+"/one", nil).json(t)
		if v["sessionId"] != "one" || len(v["commands"].([]any)) != 0 {
			t.Errorf("session = %v, want one, no commands", v)
		}
		b.must(t, 204, "DELETE", path+"/one", nil)
		b.must(t, 404, "GET", path+"/one", nil)
		b.session(t, "one")
		b.session(t, "ü %:x")
		b.must(t, 200, "GET", path+"/%C3%BC%20%25:x", nil)
		if got := strings.Count(string(b.must(t, 200, "GET", path, nil).body), "sessionId"); got != 2 {
			t.Errorf("%d sessions are listed, want 2", got)
		}
	})
}

func TestSessionCommands(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, object{"env": object{"GIVEN": "at creation"}})
		b.session(t, "s")
		for _, tc := range []struct {
			fact, command  string
			code           float64
			stdout, stderr string
		}{
			{"streams are apart", "echo out; echo err >&2", 0, "out\n", "err\n"},
			{"a missing newline is added", "printf x; printf y >&2", 0, "x\n", "y\n"},
			{"empty lines, CR and blanks are kept", `printf '\n  a\r\n\\b\n'`, 0, "\n  a\r\n\\b\n", ""},
			{"NUL bytes are dropped", `printf 'a\0b\0\n\0'`, 0, "ab\n", ""},
			{"marker bytes are taken for markers", `printf 'x\1\1\1y\2\2\2z'`, 0, "xy", "z\n"},
			{"invalid UTF-8 becomes U+FFFD, one a byte", `printf '\377\376ok\n'`, 0, "\uFFFD\uFFFDok\n", ""},
			{"the code is the last command's", "true; false", 1, "", ""},
			{"return gives the code", "return 7", 7, "", ""},
			{"an unknown command is 127", "no-such-command-here 2>/dev/null", 127, "", ""},
			{"a killed child is 137", "{ sh -c 'kill -9 $$'; } 2>/dev/null", 137, "", ""},
			{"the environment of the sandbox", `echo "$GIVEN|$TERM|${SANDPIPER_LOCALDAYTONA-unset}"`, 0, "at creation|dumb|unset\n", ""},
			{"state for the next one", "cd /; V=1; export W=2; f() { echo f; }; set -f", 0, "", ""},
			{"cd, variables, functions and options persist", `pwd; echo $V $(printenv W) *; f`, 0, "/\n1 2 *\nf\n", ""},
			{"standard input is at its end", "cat; read x || echo end", 0, "end\n", ""},
			{"an exec of the outputs lasts for one command", "exec >/dev/null; echo gone", 0, "", ""},
			{"and not longer", "echo here", 0, "here\n", ""},
			{"an alias cannot break the session", "shopt -s expand_aliases; alias builtin=false printf=false .=false", 0, "", ""},
			{"really", "echo still", 0, "still\n", ""},
		} {
			v := b.exec(t, "s", tc.command)
			if v["exitCode"] != tc.code || v["stdout"] != tc.stdout || v["stderr"] != tc.stderr {
				t.Errorf("%s: %q = %v %q %q, want %v %q %q", tc.fact, tc.command, v["exitCode"], v["stdout"], v["stderr"], tc.code, tc.stdout, tc.stderr)
			}
		}
		if v := b.exec(t, "s", "if ("); v["exitCode"] != 2.0 || !strings.Contains(v["stderr"].(string), "syntax error") {
			t.Errorf("a syntax error = %v, want 2 and its text", v)
		}
		big := "true '" + strings.Repeat("x", 5<<20) + "'; echo whole"
		if v := b.exec(t, "s", big); v["stdout"] != "whole\n" {
			t.Errorf("a command of 5 MB = %v", v["exitCode"])
		}
	})
}

func TestSDKVersionDecidesTheShape(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, nil)
	b.session(t, "s")
	const command = "echo o"
	for version, want := range map[string]struct {
		output string
		split  bool
	}{
		"0.205.1":   {"\x01\x01\x01o\n", true},
		"v0.167.0":  {"\x01\x01\x01o\n", true},
		"0.0.0-dev": {"\x01\x01\x01o\n", true},
		"0.166.9":   {"\x01\x01\x01o\n", false},
		"nonsense":  {"\x01\x01\x01o\n", false},
		"0.26.9":    {"o\n", false},
		"":          {"o\n", false},
	} {
		c := b
		c.version = version
		v := c.exec(t, "s", command)
		if v["output"] != want.output || (v["stdout"] == "o\n") != want.split || (v["stderr"] == nil) == want.split {
			t.Errorf("version %q: %v, want output %q, split %v", version, v, want.output, want.split)
		}
		logs := c.must(t, 200, "GET", c.toolbox("/process/session/s/command/"+v["cmdId"].(string)+"/logs"), nil)
		if want.split {
			if l := logs.json(t); l["output"] != want.output || l["stdout"] != "o\n" || l["stderr"] != "" {
				t.Errorf("version %q: logs %v", version, l)
			}
		} else if string(logs.body) != want.output || !strings.HasPrefix(logs.header.Get("Content-Type"), "text/plain") {
			t.Errorf("version %q: logs %q %s", version, logs.body, logs.header.Get("Content-Type"))
		}
	}
}

func TestSessionIsSerial(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		b.session(t, "s")
		b.session(t, "other")
		first := b.execAsync(t, "s", "echo begun; until test -e go; do sleep 0.01; done; echo first >>order")
		second := b.execAsync(t, "s", "echo second >>order")
		path := b.toolbox("/process/session/s/command/")
		if v := b.must(t, 200, "GET", path+second, nil).json(t); len(v) != 2 || v["command"] != "echo second >>order" {
			t.Errorf("a waiting command = %v, want id and command only", v)
		}
		eventually(t, func() bool {
			return strings.Contains(string(b.must(t, 200, "GET", path+first+"/logs", nil).body), "begun")
		},
			func() string { return "the log of a running command stays empty" })
		b.exec(t, "other", "touch go") // another session is not held up
		if v := b.exec(t, "s", "cat order"); v["stdout"] != "first\nsecond\n" {
			t.Errorf("order = %q, want first, second", v["stdout"])
		}
		if code, out := b.result(t, "s", first); code != 0 || out != "begun\n" {
			t.Errorf("first = %d %q", code, out)
		}
	})
}

func TestBackgroundChildHoldsTheCommand(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, nil)
	b.session(t, "s")
	if v := b.exec(t, "s", "(until test -e go; do sleep 0.01; done) >/dev/null 2>&1 & echo free"); v["stdout"] != "free\n" {
		t.Errorf("a child without our output: %v", v)
	}
	held := b.execAsync(t, "s", "(until test -e go; do sleep 0.01; done; echo late) & echo early")
	path := b.toolbox("/process/session/s/command/" + held)
	eventually(t, func() bool { return strings.Contains(string(b.must(t, 200, "GET", path+"/logs", nil).body), "early") }, func() string { return "no output" })
	if _, ended := b.must(t, 200, "GET", path, nil).json(t)["exitCode"]; ended {
		t.Error("a command has an exit code while a child of it holds its output")
	}
	b.run(t, "touch go")
	if code, out := b.result(t, "s", held); code != 0 || out != "early\nlate\n" {
		t.Errorf("held = %d %q, want the late line", code, out)
	}
}

func TestExitEndsTheSession(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		for command, code := range map[string]float64{"echo last; exit 3": 3, "set -e; false": 1, "exec sh -c 'exit 4'": 4, "kill -9 $$": 137} {
			b.session(t, "s")
			if v := b.exec(t, "s", command); v["exitCode"] != code {
				t.Errorf("%q = %v, want %v", command, v["exitCode"], code)
			}
			a := b.must(t, 410, "POST", b.toolbox("/process/session/s/exec"), object{"command": "true"})
			if a.json(t)["code"] != "SESSION_ENDED" {
				t.Errorf("exec after %q answers %s", command, a.body)
			}
			b.must(t, 200, "GET", b.toolbox("/process/session/s"), nil) // it stays listed
			b.must(t, 204, "DELETE", b.toolbox("/process/session/s"), nil)
			b.session(t, "s")
			if v := b.exec(t, "s", "echo again"); v["stdout"] != "again\n" {
				t.Errorf("a session made again: %v", v)
			}
			b.must(t, 204, "DELETE", b.toolbox("/process/session/s"), nil)
		}
	})
}

func TestExitEndsWhatIsQueued(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, nil)
	b.session(t, "s")
	b.execAsync(t, "s", "until test -e go; do sleep 0.01; done; exit 5")
	queued := b.execAsync(t, "s", "echo never")
	b.run(t, "touch go")
	if code, out := b.result(t, "s", queued); code != -1 || out != "" {
		t.Errorf("a queued command of an ended session = %d %q, want -1 and nothing", code, out)
	}
}

func TestInput(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		b.session(t, "s")
		id := b.execAsync(t, "s", "read a; read b; echo $b $a")
		path := b.toolbox("/process/session/s/command/" + id)
		b.must(t, 204, "POST", path+"/input", object{"data": "one"}) // at once: it waits for the shell to be there
		b.must(t, 204, "POST", path+"/input", object{"data": "two\n"})
		if code, out := b.result(t, "s", id); code != 0 || out != "one\ntwo\ntwo one\n" {
			t.Errorf("result = %d %q, want the echo of the input and, behind it, the answer", code, out)
		}
		a := b.must(t, 410, "POST", path+"/input", object{"data": "three"})
		if want := "gone: command has already completed with exit code 0"; a.json(t)["message"] != want {
			t.Errorf("input after the end answers %s, want %q", a.body, want)
		}
	})
}

func TestDeleteSessionEndsItsTree(t *testing.T) {
	eachForm(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		b.session(t, "s")
		var cancelled sync.WaitGroup
		cancelled.Go(func() {
			a := b.call(t, "POST", b.toolbox("/process/session/s/exec"), object{"command": "echo $$ >shell; setsid sleep 1000 & echo $! >child; wait"})
			if a.status != 500 || !strings.Contains(string(a.body), "session cancelled") {
				t.Errorf("the waiting exec answers %d %s, want 500 session cancelled", a.status, a.body)
			}
		})
		eventually(t, func() bool { return b.run(t, "cat child 2>/dev/null || true") != "" }, func() string { return "the command did not start" })
		began := time.Now()
		b.must(t, 204, "DELETE", b.toolbox("/process/session/s"), nil)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("deleting an obedient session took %s", took)
		}
		cancelled.Wait()
		if got := b.run(t, "for f in shell child; do kill -0 $(cat $f) 2>/dev/null && echo $f lives; done; true"); got != "" {
			t.Errorf("after the deletion: %s", got)
		}
	})
}

func TestClientThatLeavesDoesNotStopACommand(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		b.session(t, "s")
		leave(t, b, "/process/session/s/exec", object{"command": "echo in >session; until test -e go; do sleep 0.01; done; echo done >>session"}, "session")
		leave(t, b, "/process/execute", object{"command": "echo in >oneshot; until test -e go; do sleep 0.01; done; echo done >>oneshot"}, "oneshot")
		b.run(t, "touch go")
		eventually(t, func() bool { return b.run(t, "cat session oneshot") == "in\ndone\nin\ndone\n" }, func() string { return "a command stopped with its client" })
		commands := b.must(t, 200, "GET", b.toolbox("/process/session/s"), nil).json(t)["commands"].([]any)
		if len(commands) != 1 {
			t.Fatalf("%d commands are listed, want 1", len(commands))
		}
	})
}
