package daytona_test

import (
	"errors"
	"testing"

	"sandpiper/internal/daytona"
)

func TestASnapshotIsRead(t *testing.T) {
	p := newPlatform(t, answer{status: 200, body: `{"id":"s1","name":"a/b:1","state":"error","errorReason":"no disk"}`}, answer{status: 404})
	c := p.client()
	got, err := c.Snapshot(t.Context(), "a/b:1")
	if want := (daytona.Snapshot{ID: "s1", Name: "a/b:1", State: "error", ErrorReason: "no disk"}); err != nil || got != want {
		t.Errorf("Snapshot = %+v, %v, want %+v", got, err, want)
	}
	if _, err := c.Snapshot(t.Context(), "none"); !errors.Is(err, daytona.ErrNotFound) {
		t.Errorf("an unknown snapshot is %v, want ErrNotFound", err)
	}
	if line := p.lines()[0]; line != "GET /api/snapshots/a%2Fb:1" {
		t.Errorf("asked %q", line)
	}
}

func TestReachSendsNoKey(t *testing.T) {
	for name, tc := range map[string]struct {
		script  []answer
		reached bool
	}{
		"healthy":                          {[]answer{{status: 200, body: `{"status":"ok"}`}}, true},
		"no such route: somebody answers":  {[]answer{{status: 404}}, true},
		"a key is wanted":                  {[]answer{{status: 401}}, true},
		"out of order":                     {[]answer{{status: 500}}, false},
		"a proxy with nothing behind it":   {[]answer{{status: 502}, {status: 502}, {status: 502}, {status: 502}}, false},
		"no answer, and no better one yet": {[]answer{{cut: true}, {status: 200}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, tc.script...)
			if err := p.client().Reach(t.Context()); (err == nil) != tc.reached {
				t.Errorf("Reach = %v, want reached: %v", err, tc.reached)
			}
			if r := p.last(); r.line != "GET /api/health" || r.header.Get("Authorization") != "" {
				t.Errorf("asked %s with %v", r.line, r.header)
			}
		})
	}
}
