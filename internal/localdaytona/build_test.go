package localdaytona_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"sandpiper/internal/localdaytona"
)

const dockerfile = "# what it is\nFROM debian:12\n\nRUN true\n"

// followed is the log of a build, read until the server ends it.
func (h *house) followed(t *testing.T, id string) []string {
	t.Helper()
	url := h.must(t, 200, "GET", "/api/snapshots/"+id+"/build-logs-url", nil).json(t)["url"].(string)
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+testKey)
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var lines []string
	for s := bufio.NewScanner(answer.Body); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

func TestASnapshotIsBuilt(t *testing.T) {
	h := open(t, func(o *localdaytonaOptions) {
		o.Isolation, o.Dockerfile, o.Claude = "none", dockerfile, claudeScript(t, "#!/bin/sh\necho \"2.1 ($1)\"\n")
	})
	// Comments are nobody's instructions: the builder of a snapshot may add some.
	made := h.must(t, 200, "POST", "/api/snapshots", object{"name": "mine", "buildInfo": object{"dockerfileContent": dockerfile + "# by me\n"}}).json(t)
	id := made["id"].(string)
	if made["state"] != "pending" {
		t.Errorf("created: %v, want pending", made)
	}
	log := strings.Join(h.followed(t, id), "\n")
	for _, step := range []string{"building mine", "step 1/4: folder workspace/.system/logs", "step 2/4: file workspace/CLAUDE.md 9 bytes", "step 4/4: claude --version: 2.1 (--version)"} {
		if !strings.Contains(log, step) {
			t.Errorf("the log lacks %q:\n%s", step, log)
		}
	}
	built := h.must(t, 200, "GET", "/api/snapshots/mine", nil).json(t)
	if built["state"] != "active" || built["buildInfo"].(object)["dockerfileContent"] != dockerfile+"# by me\n" {
		t.Errorf("built: %v, want active, and its Dockerfile as it came", built)
	}
	if again := strings.Join(h.followed(t, id), "\n"); again != log {
		t.Errorf("the log afterwards is\n%s\nwant\n%s", again, log)
	}
	h.must(t, 404, "GET", "/api/snapshots/none/build-logs", nil)
	h.must(t, 404, "GET", "/api/snapshots/mine/build-logs-url", nil) // by its id only
	if log := h.must(t, 200, "GET", "/api/snapshots/00000000-0000-4000-8000-000000000003/build-logs", nil); len(log.body) != 0 {
		t.Errorf("the general one has the log %q", log.body)
	}
}

// TestABuiltSnapshotKeepsItsFiles: a later program has other ones for what it builds, and the old ones for what was built.
func TestABuiltSnapshotKeepsItsFiles(t *testing.T) {
	h := open(t, func(o *localdaytonaOptions) { o.Isolation, o.Dockerfile = "none", dockerfile })
	id := h.must(t, 200, "POST", "/api/snapshots", object{"name": "old", "buildInfo": object{"dockerfileContent": dockerfile}}).json(t)["id"].(string)
	h.followed(t, id)

	o := options(h.dir)
	o.Isolation, o.Workspace = "none", []localdaytona.WorkspaceEntry{{Path: "workspace/CLAUDE.md", Content: []byte("be verbose\n")}}
	later, err := localdaytona.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := later.StopAll(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if !later.Offers("old") || later.Offers("none") || !later.Offers("sandpiper") {
		t.Error("the next server does not offer what was built")
	}
	next := &house{serve(t, later), later, h.dir}
	for snapshot, want := range map[string]string{"old": "be brief\n", "": "be verbose\n"} {
		b := next.create(t, object{"snapshot": snapshot})
		if got := string(b.download(t, "/home/daytona/workspace/CLAUDE.md").body); got != want {
			t.Errorf("a sandbox from %q has %q, want %q", snapshot, got, want)
		}
	}
}

func TestABuildThatCannotBe(t *testing.T) {
	h := open(t, func(o *localdaytonaOptions) {
		o.Isolation, o.Dockerfile, o.Claude = "none", dockerfile, claudeScript(t, "#!/bin/sh\nexit 3\n")
	})
	for name, tc := range map[string]struct{ dockerfile, why string }{
		"another Dockerfile":        {dockerfile + "RUN false\n", "runs no Dockerfile"},
		"a command that is no good": {dockerfile, "claude --version: exit status 3"},
	} {
		t.Run(name, func(t *testing.T) {
			id := h.must(t, 200, "POST", "/api/snapshots", object{"name": name, "buildInfo": object{"dockerfileContent": tc.dockerfile}}).json(t)["id"].(string)
			h.followed(t, id)
			v := h.must(t, 200, "GET", "/api/snapshots/"+id, nil).json(t)
			if why, _ := v["errorReason"].(string); v["state"] != "error" || !strings.Contains(why, tc.why) {
				t.Errorf("it is %v, want error and %q", v, tc.why)
			}
		})
	}
}
