package daytona_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"sandpiper/internal/daytona"
)

func TestABuildIsAskedForOnce(t *testing.T) {
	build := daytona.Build{Name: "mine", Dockerfile: "FROM a:1\n", CPU: 2, MemoryGiB: 4}
	const made = `{"id":"s1","name":"mine","state":"pending"}`
	for name, tc := range map[string]struct {
		script []answer
		asked  int
		fault  error // nil: the snapshot is known
	}{
		"answered":                          {[]answer{ok(made)}, 1, nil},
		"the answer is lost":                {[]answer{{cut: true}, ok(made)}, 2, nil},
		"lost, and not there":               {[]answer{{status: 500}, {status: 404}}, 2, errAny},
		"another one has the name":          {[]answer{refusal(409, "exists")}, 1, daytona.ErrConflict},
		"there may be no more":              {[]answer{refusal(400, "Snapshot quota exceeded. Maximum allowed: 3")}, 1, daytona.ErrQuota},
		"a refusal is not looked up":        {[]answer{refusal(400, "no")}, 1, errAny},
		"a limit of requests is the caller": {[]answer{{status: 429}}, 1, daytona.ErrRateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, tc.script...)
			s, err := p.client(func(o *daytona.Options) { o.Target = "eu" }).BuildSnapshot(t.Context(), build)
			if tc.fault == nil && (err != nil || s.ID != "s1") || tc.fault != nil && (err == nil || tc.fault != errAny && !errors.Is(err, tc.fault)) {
				t.Errorf("BuildSnapshot = %+v, %v, want fault %v", s, err, tc.fault)
			}
			asked := p.lines()
			if len(asked) != tc.asked || asked[0] != "POST /api/snapshots" || tc.asked == 2 && asked[1] != "GET /api/snapshots/mine" {
				t.Errorf("asked %q", asked)
			}
			want := `{"name":"mine","buildInfo":{"dockerfileContent":"FROM a:1\n"},"cpu":2,"memory":4,"regionId":"eu"}`
			if got := p.asked[0].body; got != want {
				t.Errorf("sent %s, want %s", got, want)
			}
		})
	}
}

func TestEveryPageOfSnapshotsIsRead(t *testing.T) {
	p := newPlatform(t, ok(`{"items":[{"id":"1","name":"a"},{"id":"2","name":"b"}],"total":3,"totalPages":2}`),
		ok(`{"items":[{"id":"3","name":"c","size":1.5,"lastUsedAt":null,"buildInfo":{"dockerfileContent":"FROM a:1"}}],"total":3,"totalPages":2}`))
	all, err := p.client().Snapshots(t.Context(), "a b")
	if err != nil || len(all) != 3 || all[2].SizeGB != 1.5 || !all[2].LastUsedAt.IsZero() || all[2].Build.Dockerfile != "FROM a:1" {
		t.Errorf("Snapshots = %+v, %v", all, err)
	}
	if got := p.lines(); len(got) != 2 || got[1] != "GET /api/snapshots?limit=200&name=a+b&page=2" {
		t.Errorf("asked %q", got)
	}
}

func TestADeletedSnapshotIsFine(t *testing.T) {
	p := newPlatform(t, answer{status: 404}, refusal(403, "Forbidden"))
	c := p.client()
	if err := c.DeleteSnapshot(t.Context(), "s/1"); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
	if err := c.DeleteSnapshot(t.Context(), "s2"); !errors.Is(err, daytona.ErrForbidden) {
		t.Errorf("one that is nobody's: %v", err)
	}
	if got := p.lines()[0]; got != "DELETE /api/snapshots/s%2F1" {
		t.Errorf("asked %q", got)
	}
}

func TestABuildLogIsReadOn(t *testing.T) {
	url := func(p *platform) answer { return ok(`{"url":"` + p.web.URL + `/logs/s1"}`) }
	for name, tc := range map[string]struct {
		at     int64
		script func(*platform) []answer
		want   string
		next   int64
		fault  error
		asked  string
	}{
		"from its beginning": {0, func(p *platform) []answer { return []answer{url(p), ok("one\ntwo\n")} }, "one\ntwo\n", 8, nil, "GET /logs/s1?follow=true"},
		"from where it was":  {4, func(p *platform) []answer { return []answer{url(p), ok("one\ntwo\n")} }, "two\n", 8, nil, "GET /logs/s1?follow=true"},
		"shorter than it was": {
			10, func(p *platform) []answer { return []answer{url(p), ok("one\n")} }, "", 10, nil, "GET /logs/s1?follow=true",
		},
		"of an older platform": {
			0, func(*platform) []answer { return []answer{{status: 404}, ok("one\n")} }, "one\n", 4, nil, "GET /api/snapshots/s1/build-logs?follow=true",
		},
		"there is none": {
			0, func(*platform) []answer { return []answer{{status: 404}, {status: 404}} }, "", 0, daytona.ErrNotFound, "GET /api/snapshots/s1/build-logs?follow=true",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			p.script = tc.script(p)
			var got strings.Builder
			next, err := p.client().BuildLog(t.Context(), "s1", tc.at, &got)
			if got.String() != tc.want || next != tc.next || !errors.Is(err, tc.fault) {
				t.Errorf("BuildLog = %d, %v with %q; want %d, %v, %q", next, err, &got, tc.next, tc.fault, tc.want)
			}
			if p.last().line != tc.asked || p.last().header.Get("Authorization") != "Bearer "+key {
				t.Errorf("asked %q", p.last().line)
			}
		})
	}
}

// TestASnapshotIsBuiltByTheLocalDaytona: the client and the server that this repository has understand each other.
func TestASnapshotIsBuiltByTheLocalDaytona(t *testing.T) {
	c := local(t)
	s := must(c.BuildSnapshot(t.Context(), daytona.Build{Name: "mine", Dockerfile: "FROM sandpiper:local\n"}))(t)
	var log strings.Builder
	if _, err := c.BuildLog(context.WithoutCancel(t.Context()), s.ID, 0, &log); err != nil || !strings.Contains(log.String(), "building mine") {
		t.Errorf("its log is %q, %v", &log, err)
	}
	if err := c.Activate(t.Context(), "mine"); err != nil { // which waits until it is
		t.Error(err)
	}
	all := must(c.Snapshots(t.Context(), "min"))(t)
	if len(all) != 1 || all[0].State != daytona.SnapshotActive || all[0].Build.Dockerfile == "" || all[0].CreatedAt.IsZero() {
		t.Errorf("Snapshots = %+v", all)
	}
	if err := c.DeleteSnapshot(t.Context(), s.ID); err != nil {
		t.Error(err)
	}
	if _, err := c.Snapshot(t.Context(), "mine"); !errors.Is(err, daytona.ErrNotFound) {
		t.Errorf("the deleted one: %v", err)
	}
	general := must(c.Snapshot(t.Context(), "sandpiper"))(t)
	var e *daytona.Error
	if err := c.DeleteSnapshot(t.Context(), general.ID); !general.General || !errors.As(err, &e) || e.Status != http.StatusForbidden {
		t.Errorf("the general one: %+v, %v", general, err)
	}
}
