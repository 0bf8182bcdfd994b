package daytona_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/daytona"
)

var sentinels = map[string]error{
	"not found": daytona.ErrNotFound, "unauthorized": daytona.ErrUnauthorized, "forbidden": daytona.ErrForbidden,
	"conflict": daytona.ErrConflict, "quota": daytona.ErrQuota, "too big": daytona.ErrTooBig, "rate limited": daytona.ErrRateLimited, "timeout": daytona.ErrTimeout,
	"session gone": daytona.ErrSessionGone, "not running": daytona.ErrNotRunning,
	"full": daytona.ErrFull, "inactive": daytona.ErrInactive, "settling": daytona.ErrSettling,
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		status    int
		body      string
		is        string // the sentinels, in alphabetical order
		message   string
		code      string
		temporary bool
	}{
		"the API's shape":        {404, `{"path":"/x","timestamp":"t","statusCode":404,"error":"Not Found","message":"No x"}`, "not found", "No x", "", false},
		"the daemon's shape":     {400, `{"statusCode":400,"message":"bad","code":"BAD_REQUEST","source":"DAYTONA_DAEMON"}`, "", "bad", "BAD_REQUEST", false},
		"another name for code":  {409, `{"message":"m","error_code":"CONFLICT"}`, "conflict", "m", "CONFLICT", false},
		"an empty body":          {404, ``, "not found", "Not Found", "", false},
		"plain text":             {404, "404 page not found\n", "not found", "404 page not found", "", false},
		"a single error":         {400, `{"error":"paths must not be empty"}`, "", "paths must not be empty", "", false},
		"a list of errors":       {400, `{"errors":["file[0]: missing .path metadata","b"],"files":null}`, "", "file[0]: missing .path metadata, b", "", false},
		"a list of messages":     {400, `{"message":["a","b"]}`, "", "a, b", "", false},
		"JSON that is no object": {502, `[1]`, "", "[1]", "", true},
		"a web page":             {502, "<html>" + strings.Repeat("x", 9000), "", "<html>" + strings.Repeat("x", 494) + "…", "", true},
		"the body's own status":  {500, `{"statusCode":404,"message":"m"}`, "not found", "m", "", false},
		"a senseless status":     {500, `{"statusCode":200,"message":"m"}`, "", "m", "", false},
		"a full disk":            {500, `{"message":"write /x: No space left on device"}`, "full", "write /x: No space left on device", "", false},
		"a full quota of a disk": {400, `{"errors":["file[0]: write /x: disk quota exceeded"]}`, "full", "file[0]: write /x: disk quota exceeded", "", false},
		"an inactive snapshot":   {400, `{"message":"Snapshot s1 is inactive"}`, "inactive", "Snapshot s1 is inactive", "", false},
		"one on its way out":     {400, `{"message":"Snapshot deactivation is still in progress, try later"}`, "settling", "Snapshot deactivation is still in progress, try later", "", true},
		"a bad key":              {401, `{"message":"Invalid credentials","statusCode":401}`, "unauthorized", "Invalid credentials", "", false},
		"no permission":          {403, `{"message":"Organization is suspended"}`, "forbidden", "Organization is suspended", "", false},
		"too many requests":      {429, `{"statusCode":429,"message":"ThrottlerException: Too Many Requests"}`, "rate limited", "ThrottlerException: Too Many Requests", "", true},
		"a quota of the total":   {400, `{"message":"Total memory limit exceeded. Maximum allowed: 10GiB.\nUpgrade"}`, "quota", "Total memory limit exceeded. Maximum allowed: 10GiB.\nUpgrade", "", true},
		"a quota of one":         {400, `{"message":"CPU request 9 exceeds maximum allowed per sandbox (4)."}`, "too big", "CPU request 9 exceeds maximum allowed per sandbox (4).", "", false},
		"no capacity":            {400, `{"message":"No available runners"}`, "quota", "No available runners", "", true},
		"a stopped sandbox":      {400, `{"statusCode":400,"message":"bad request: failed to resolve container IP after 3 attempts: no IP address found. Is the Sandbox started?","code":"BAD_REQUEST"}`, "not running", "bad request: failed to resolve container IP after 3 attempts: no IP address found. Is the Sandbox started?", "BAD_REQUEST", false},
		"a daemon away":          {502, ``, "", "Bad Gateway", "", true},
		"maintenance":            {503, `{"message":"m"}`, "", "m", "", true},
		"a command's time":       {408, `{"message":"request timeout: command execution timeout"}`, "timeout", "request timeout: command execution timeout", "", true},
		"an unknown session":     {500, `{"statusCode":500,"message":"failed to execute command: not found: session not found","timestamp":"0001-01-01T00:00:00Z","path":""}`, "session gone", "failed to execute command: not found: session not found", "", false},
		"the same, as written":   {404, `{"message":"not found: session not found"}`, "not found, session gone", "not found: session not found", "", false},
		"a dead shell":           {500, `{"message":"failed to execute command: bad request: failed to write command: write |1: broken pipe"}`, "session gone", "failed to execute command: bad request: failed to write command: write |1: broken pipe", "", false},
		"a dead shell, newer":    {410, `{"message":"gone","code":"SESSION_ENDED"}`, "session gone", "gone", "SESSION_ENDED", false},
		"the key, sent back":     {401, `{"message":"no such key ` + key + `!"}`, "unauthorized", "no such key [secret]!", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, answer{status: tc.status, body: tc.body})
			// A POST, so that it is not asked again.
			_, err := p.toolbox().Execute(t.Context(), daytona.Execute{Command: "x"})
			var e *daytona.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v is no *Error", err)
			}
			if e.Message != tc.message || e.Code != tc.code || daytona.Temporary(err) != tc.temporary {
				t.Errorf("message %q, code %q, temporary %v", e.Message, e.Code, daytona.Temporary(err))
			}
			for name, sentinel := range sentinels {
				if want := strings.Contains(", "+tc.is+",", ", "+name+","); errors.Is(err, sentinel) != want {
					t.Errorf("is %s: %v, want %v", name, !want, want)
				}
			}
			if strings.Contains(err.Error(), key) {
				t.Errorf("the key is in %q", err)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for name, tc := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"none":               {nil, 0},
		"plain":              {map[string]string{"Retry-After": "3"}, 3 * time.Second},
		"of a class":         {map[string]string{"Retry-After-sandbox-create": "60"}, time.Minute},
		"the longest counts": {map[string]string{"Retry-After-a": "2", "Retry-After-b": "5", "Retry-After": "1"}, 5 * time.Second},
		"a word":             {map[string]string{"Retry-After": "soon"}, 0},
		"in the past":        {map[string]string{"Retry-After": "Mon, 02 Jan 2006 15:04:05 GMT"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, answer{status: 429, header: tc.header})
			var e *daytona.Error
			if _, err := p.client().Create(t.Context(), daytona.Create{Name: "x"}); !errors.As(err, &e) || e.RetryAfter != tc.want {
				t.Errorf("%v: RetryAfter %v, want %v", err, e.RetryAfter, tc.want)
			}
		})
	}
}

func TestReadsAreRepeated(t *testing.T) {
	soon := map[string]string{"Retry-After-authenticated": "0"}
	for name, tc := range map[string]struct {
		script []answer
		asked  int
		ok     bool
	}{
		"after a cut connection":     {[]answer{{cut: true}, ok(sandbox("started"))}, 2, true},
		"after 429":                  {[]answer{{status: 429, header: soon}, ok(sandbox("started"))}, 2, true},
		"after 502, 503 and 504":     {[]answer{{status: 502}, {status: 503}, {status: 504}, ok(sandbox("started"))}, 4, true},
		"four times at most":         {[]answer{{status: 502}, {status: 502}, {status: 502}, {status: 502}, ok("{}")}, 4, false},
		"not after a refusal":        {[]answer{refusal(401, "x"), ok("{}")}, 1, false},
		"not after a fault of ours":  {[]answer{refusal(400, "x"), ok("{}")}, 1, false},
		"not after an internal one":  {[]answer{refusal(500, "x"), ok("{}")}, 1, false},
		"not when told to wait long": {[]answer{{status: 429, header: map[string]string{"Retry-After": "60"}}, ok("{}")}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, tc.script...)
			if _, err := p.client().Get(t.Context(), "x"); (err == nil) != tc.ok || len(p.lines()) != tc.asked {
				t.Errorf("%v after %d requests, want %d", err, len(p.lines()), tc.asked)
			}
		})
	}
}

func TestCommandsAreNeverRepeated(t *testing.T) {
	for name, call := range map[string]func(*testing.T, *daytona.Toolbox) error{
		"Exec": func(t *testing.T, b *daytona.Toolbox) error {
			_, err := b.Exec(t.Context(), "s", "x")
			return err
		},
		"ExecAsync": func(t *testing.T, b *daytona.Toolbox) error {
			_, err := b.ExecAsync(t.Context(), "s", "x")
			return err
		},
		"Execute": func(t *testing.T, b *daytona.Toolbox) error {
			_, err := b.Execute(t.Context(), daytona.Execute{Command: "x"})
			return err
		},
		"Upload": func(t *testing.T, b *daytona.Toolbox) error { return b.Upload(t.Context(), daytona.File{Path: "/x"}) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, a := range []answer{{cut: true}, {status: 502}, {status: 429}, {status: 503}} {
				p := newPlatform(t, a)
				if err := call(t, p.toolbox()); err == nil || len(p.lines()) != 1 || strings.Contains(err.Error(), key) {
					t.Errorf("%v after %d requests", err, len(p.lines()))
				}
			}
		})
	}
}

func TestAnUnreachablePlatformNamesNoKey(t *testing.T) {
	c := daytona.New(daytona.Options{URL: "http://127.0.0.1:1/api", Key: key})
	_, err := c.Create(t.Context(), daytona.Create{Name: "x"})
	if err == nil || strings.Contains(err.Error(), key) || !daytona.Temporary(err) {
		t.Errorf("%v", err)
	}
	c.Close()
}

func TestSenselessAnswers(t *testing.T) {
	p := newPlatform(t, ok("<html>"), ok(`{"id":5}`))
	for range 2 {
		if _, err := p.client().Get(t.Context(), "x"); err == nil {
			t.Error("no error")
		}
	}
	if n := len(p.lines()); n != 2 {
		t.Errorf("%d requests: what arrived whole is not asked again", n)
	}
	if _, err := newPlatform(t).client().Toolbox(daytona.Sandbox{ID: "x"}).Home(t.Context()); err == nil {
		t.Error("a sandbox without a toolbox has no home")
	}
	if daytona.Temporary(nil) {
		t.Error("no error is no temporary one")
	}
}
