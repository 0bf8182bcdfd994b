package daytona_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/daytona"
)

const (
	create = "POST /api/sandbox"
	byName = "GET /api/sandbox/sbx_1"
	byID   = "GET /api/sandbox/c7614d75"
)

var taken = refusal(409, "Sandbox with name sbx_1 already exists")

func TestCreate(t *testing.T) {
	for name, tc := range map[string]struct {
		script []answer
		asked  []string
		err    error // nil means a started sandbox
	}{
		"the answer comes before the sandbox is started": {
			[]answer{ok(sandbox("creating")), ok(sandbox("creating")), ok(sandbox("started"))},
			[]string{create, byID, byID},
			nil,
		},
		"at once, from a warm pool": {[]answer{ok(sandbox("started"))}, []string{create}, nil},
		"any 2xx is success":        {[]answer{{status: 201, body: sandbox("started")}}, []string{create}, nil},
		"the answer was lost": {
			[]answer{{cut: true}, ok(sandbox("started"))}, []string{create, byName}, nil,
		},
		"a gateway lost the answer": {
			[]answer{{status: 504}, ok(sandbox("creating")), ok(sandbox("started"))}, []string{create, byName, byID}, nil,
		},
		"the request was lost": {
			[]answer{{cut: true}, refusal(404, "Sandbox not found")}, []string{create, byName}, errAny,
		},
		"an earlier call has made it": {[]answer{taken, ok(sandbox("started"))}, []string{create, byName}, nil},
		"the name is taken by what nobody sees": {
			[]answer{taken, refusal(404, "Sandbox not found")}, []string{create, byName}, daytona.ErrConflict,
		},
		"it breaks while it starts": {
			[]answer{ok(sandbox("creating")), ok(sandbox("error", "errorReason", "no disk"))}, []string{create, byID}, daytona.ErrFailed,
		},
		"an earlier call has made a broken one": {
			[]answer{taken, ok(sandbox("build_failed"))}, []string{create, byName}, daytona.ErrFailed,
		},
		"a quota": {
			[]answer{refusal(400, "Total CPU limit exceeded. Maximum allowed: 10.\nUpgrade…")}, []string{create}, daytona.ErrQuota,
		},
		"a bad snapshot":   {[]answer{refusal(400, "Snapshot X not found. Did you add it…")}, []string{create}, errAny},
		"a bad key":        {[]answer{refusal(401, "Invalid credentials")}, []string{create}, daytona.ErrUnauthorized},
		"too many at once": {[]answer{refusal(429, "ThrottlerException: Too Many Requests")}, []string{create}, daytona.ErrRateLimited},
		"a poll that fails once": {
			[]answer{ok(sandbox("creating")), {status: 502}, {cut: true}, ok(sandbox("started"))}, []string{create, byID, byID, byID}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, tc.script...)
			sb, err := p.client().Create(t.Context(), daytona.Create{Name: "sbx_1"})
			if (err == nil) != (tc.err == nil) || tc.err != nil && tc.err != errAny && !errors.Is(err, tc.err) {
				t.Errorf("Create: %v, want %v", err, tc.err)
			}
			if err == nil && (sb.ID != "c7614d75" || sb.State != daytona.StateStarted || sb.ToolboxURL != "http://proxy.example/toolbox") {
				t.Errorf("%+v", sb)
			}
			if got := p.lines(); !slices.Equal(got, tc.asked) {
				t.Errorf("asked %q, want %q", got, tc.asked)
			}
		})
	}
}

var errAny = errors.New("any")

func TestCreateSends(t *testing.T) {
	for name, tc := range map[string]struct {
		create daytona.Create
		target string
		want   map[string]any
	}{
		"what is left out stays out": {daytona.Create{Name: "a"}, "", map[string]any{"name": "a"}},
		"everything": {
			daytona.Create{
				Name: "a", Snapshot: "s", Env: map[string]string{"E": "1"}, Labels: map[string]string{"l": "2"},
				AutoStopMinutes: 390, AutoDeleteMinutes: 1440,
			},
			"eu",
			map[string]any{
				"name": "a", "snapshot": "s", "env": map[string]any{"E": "1"}, "labels": map[string]any{"l": "2"}, "target": "eu",
				"autoStopInterval": 390.0, "autoDeleteInterval": 1440.0,
			},
		},
		"never stopped, never deleted": {
			daytona.Create{Name: "a", AutoStopMinutes: -1, AutoDeleteMinutes: -1},
			"",
			map[string]any{"name": "a", "autoStopInterval": 0.0, "autoDeleteInterval": -1.0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, ok(sandbox("started")))
			c := p.client(func(o *daytona.Options) { o.Target = tc.target })
			if _, err := c.Create(t.Context(), tc.create); err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(p.last().body), &got); err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("sent %s, want %v (%v)", p.last().body, tc.want, err)
			}
		})
	}
}

func TestCreateNeedsAName(t *testing.T) {
	p := newPlatform(t)
	if _, err := p.client().Create(t.Context(), daytona.Create{}); err == nil || len(p.lines()) != 0 {
		t.Errorf("%v, asked %v", err, p.lines())
	}
}

func TestCreateDoesNotWaitForEver(t *testing.T) {
	script := []answer{ok(sandbox("creating"))}
	for range 100 {
		script = append(script, ok(sandbox("pulling_snapshot")))
	}
	p := newPlatform(t, script...)
	c := p.client(func(o *daytona.Options) { o.StartTimeout = 350 * time.Millisecond })
	_, err := c.Create(t.Context(), daytona.Create{Name: "sbx_1"})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "pulling_snapshot") {
		t.Errorf("Create: %v", err)
	}
	if n := len(p.lines()); n < 3 || n > 6 {
		t.Errorf("%d requests in 350 ms, want one every 100 ms", n)
	}
}

func TestACancelledCreateLooksForNothing(t *testing.T) {
	p := newPlatform(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.client().Create(ctx, daytona.Create{Name: "a"}); !errors.Is(err, context.Canceled) || len(p.lines()) != 0 {
		t.Errorf("%v, asked %v", err, p.lines())
	}
}

func TestEveryRequestSaysWhoWeAre(t *testing.T) {
	p := newPlatform(t, ok(sandbox("started")), ok(`{"exitCode":0,"result":""}`))
	if _, err := p.client().Get(t.Context(), "a/b c"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.toolbox().Execute(t.Context(), daytona.Execute{Command: "true"}); err != nil {
		t.Fatal(err)
	}
	if got := p.lines(); !slices.Equal(got, []string{"GET /api/sandbox/a%2Fb%20c", "POST /toolbox/id1/process/execute"}) {
		t.Errorf("asked %q", got)
	}
	for _, r := range p.asked {
		want := map[string]string{
			"Authorization": "Bearer " + key, "X-Daytona-Source": "sandpiper", "X-Daytona-Sdk-Version": "0.205.1", "User-Agent": "sandpiper",
		}
		for name, value := range want {
			if got := r.header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", r.line, name, got, value)
			}
		}
	}
}

func TestList(t *testing.T) {
	p := newPlatform(t,
		ok(`{"items":[],"nextCursor":"c 1"}`), // an empty page is not the end
		ok(`{"items":[`+sandbox("started")+`],"nextCursor":"c2"}`), ok(`{"items":[`+sandbox("stopped")+`],"nextCursor":null}`))
	all, err := p.client().List(t.Context(), map[string]string{"installation": "i&1"})
	if err != nil || len(all) != 2 || all[1].State != daytona.StateStopped {
		t.Errorf("List = %+v, %v", all, err)
	}
	want := []string{
		"GET /api/sandbox?labels=%7B%22installation%22%3A%22i%5Cu00261%22%7D&limit=200",
		"GET /api/sandbox?cursor=c+1&labels=%7B%22installation%22%3A%22i%5Cu00261%22%7D&limit=200",
		"GET /api/sandbox?cursor=c2&labels=%7B%22installation%22%3A%22i%5Cu00261%22%7D&limit=200",
	}
	if got := p.lines(); !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
}

func TestDelete(t *testing.T) {
	for name, tc := range map[string]struct {
		script []answer
		want   error
		asked  int
	}{
		"done":                  {[]answer{ok(sandbox("destroying"))}, nil, 1},
		"gone before":           {[]answer{refusal(404, "x")}, nil, 1},
		"a change is pending":   {[]answer{refusal(409, "Sandbox state change in progress")}, daytona.ErrConflict, 1},
		"the answer was lost":   {[]answer{{cut: true}, refusal(404, "x")}, nil, 2},
		"the platform restarts": {[]answer{{status: 503}, {status: 502}, ok("")}, nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, tc.script...)
			if err := p.client().Delete(t.Context(), "x"); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("Delete: %v, want %v", err, tc.want)
			}
			if len(p.lines()) != tc.asked {
				t.Errorf("asked %q", p.lines())
			}
		})
	}
}

func TestStartStopTouch(t *testing.T) {
	p := newPlatform(t,
		ok(sandbox("starting")), ok(sandbox("started")), ok(sandbox("stopping")), ok(sandbox("stopping")),
		answer{status: http.StatusCreated}, ok(sandbox("started")))
	c := p.client()
	sb, err := c.Start(t.Context(), "c7614d75")
	errs := []error{err, c.Stop(t.Context(), "x", false), c.Stop(t.Context(), "x", true), c.Touch(t.Context(), "x")}
	if err := errors.Join(errs...); err != nil || sb.State != daytona.StateStarted || sb.ToolboxURL == "" {
		t.Errorf("%+v, %v", sb, err)
	}
	if sb, err := c.Start(t.Context(), "c7614d75"); err != nil || sb.ToolboxURL == "" {
		t.Errorf("Start of a started one: %+v, %v", sb, err)
	}
	want := []string{
		"POST /api/sandbox/c7614d75/start", byID, "POST /api/sandbox/x/stop", "POST /api/sandbox/x/stop?force=true",
		"POST /api/sandbox/x/last-activity", "POST /api/sandbox/c7614d75/start",
	}
	if got := p.lines(); !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	p := newPlatform(t, answer{status: 302, header: map[string]string{"Location": "http://elsewhere.invalid/"}})
	var e *daytona.Error
	if _, err := p.client().Get(t.Context(), "x"); !errors.As(err, &e) || e.Status != 302 {
		t.Errorf("Get: %v", err)
	}
}
