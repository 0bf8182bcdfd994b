package localdaytona_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/localdaytona"
)

const mib = 1 << 20

// limited opens a server whose sandboxes have these limits, in both kinds of sandboxes.
func limited(t *testing.T, l localdaytona.Limits, test func(t *testing.T, h *house)) {
	t.Parallel()
	for _, form := range kinds() {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, func(o *localdaytona.Options) { o.Isolation, o.Limits = form, l }))
		})
	}
}

// turnUntil does the server's turns until the sandbox is in a state, and gives the reason for that.
func (h *house) turnUntil(t *testing.T, b box, state string) (reason string) {
	t.Helper()
	var v map[string]any
	eventually(t, func() bool {
		h.server.Turn(t.Context(), time.Now())
		v = b.must(t, 200, "GET", b.api(""), nil).json(t)
		return v["state"] == state
	}, func() string { return "state is " + v["state"].(string) + ", want " + state })
	reason, _ = v["errorReason"].(string)
	return reason
}

// unharmed fails the test when a sandbox cannot be worked in.
func (b box) unharmed(t *testing.T) {
	t.Helper()
	if got := b.run(t, "echo fine"); got != "fine\n" {
		t.Errorf("another sandbox says %q", got)
	}
}

func TestAForkBombStaysInItsSandbox(t *testing.T) {
	limited(t, localdaytona.Limits{Tasks: 150}, func(t *testing.T, h *house) {
		other := h.create(t, nil)
		b := h.create(t, nil)
		b.session(t, "s")
		// Bounded by itself also where nothing else bounds it: 600 sleeps of a minute.
		b.execAsync(t, "s", "for i in $(seq 600); do sleep 60 & done; wait")
		if reason := h.turnUntil(t, b, "stopped"); !strings.Contains(reason, "150") || !strings.Contains(reason, "processes") {
			t.Errorf("errorReason %q, want the limit of 150 processes", reason)
		}
		if left := leftOver(b.id); len(left) > 0 {
			t.Errorf("processes are left: %d", len(left))
		}
		other.unharmed(t)
		b.must(t, 200, "POST", b.api("/start"), nil)
		b.unharmed(t)
	})
}

func TestAMemoryHogEndsAloneOrWithItsSandbox(t *testing.T) {
	limited(t, localdaytona.Limits{Memory: 200 * mib}, func(t *testing.T, h *house) {
		other := h.create(t, nil)
		b := h.create(t, nil)
		b.session(t, "s")
		// tail keeps the last line of its input, which never ends here: 260 MB of it.
		const hog = "{ head -c 260000000 /dev/zero; %s; } | tail -n 1 >/dev/null; echo ${PIPESTATUS[1]}"
		if !strings.Contains(h.server.Limits(), "memory 200 MiB (cgroup") {
			b.execAsync(t, "s", fmt.Sprintf(hog, "sleep 60"))
			if reason := h.turnUntil(t, b, "stopped"); !strings.Contains(reason, "memory") || !strings.Contains(reason, "200 MiB") {
				t.Errorf("errorReason %q, want the limit of 200 MiB of memory", reason)
			}
			other.unharmed(t)
			return
		}
		if out := b.exec(t, "s", fmt.Sprintf(hog, "true"))["stdout"]; out != "137\n" {
			t.Errorf("the hog ended with %q, want 137: killed", out)
		}
		b.unharmed(t)
		other.unharmed(t)
	})
}

func TestADiskHogIsStopped(t *testing.T) {
	limited(t, localdaytona.Limits{Disk: 20 * mib}, func(t *testing.T, h *house) {
		other := h.create(t, nil)
		b := h.create(t, nil)
		h.server.Turn(t.Context(), time.Now())
		b.waitFor(t, "started")
		if got := b.run(t, "head -c 30000000 /dev/zero >~/one; stat -c %s ~/one"); !strings.HasSuffix(got, "20971520\n") {
			t.Errorf("one file grew to %q, want the whole limit at most", got)
		}
		b.run(t, "rm ~/one; mkdir ~/deep; for i in 1 2 3; do head -c 10000000 /dev/zero >~/deep/$i; done")
		if reason := h.turnUntil(t, b, "error"); !strings.Contains(reason, "disk limit of 20 MiB") {
			t.Errorf("errorReason %q, want the disk limit", reason)
		}
		other.unharmed(t)
		b.must(t, 200, "DELETE", b.api(""), nil)
	})
}

func TestALimitIsToldAndCanBeTakenAway(t *testing.T) {
	h := open(t, func(o *localdaytona.Options) {
		o.Isolation, o.Limits = "none", localdaytona.Limits{Memory: 3 << 30, Disk: -1, Tasks: -1}
	})
	v := h.must(t, 200, "GET", h.create(t, nil).api(""), nil).json(t)
	if v["memory"] != 3.0 || v["disk"] != 0.0 {
		t.Errorf("memory %v and disk %v, want 3 and 0 for none", v["memory"], v["disk"])
	}
	for _, want := range []string{"memory 3072 MiB (", "tasks without a limit", "disk without a limit"} {
		if got := h.server.Limits(); !strings.Contains(got, want) {
			t.Errorf("limits are %q, want %q in it", got, want)
		}
	}
}

func TestNoGroupIsLeftBehind(t *testing.T) {
	limited(t, localdaytona.Limits{}, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		record, err := os.ReadFile(h.dir + "/sandboxes/" + b.id + "/record.json")
		if err != nil {
			t.Fatal(err)
		}
		groups := groupsIn(t, record)
		for _, g := range groups {
			if procs, err := os.ReadFile(g + "/cgroup.procs"); err != nil || len(procs) == 0 {
				t.Errorf("group %s has no processes (%v)", g, err)
			}
		}
		b.must(t, 200, "POST", b.api("/stop"), nil)
		b.waitFor(t, "stopped")
		for _, g := range groups {
			if _, err := os.Stat(g); err == nil {
				t.Errorf("group %s is still there", g)
			}
		}
	})
}

func groupsIn(t *testing.T, record []byte) []string {
	t.Helper()
	var r struct{ Cgroups []string }
	if err := json.Unmarshal(record, &r); err != nil {
		t.Fatal(err)
	}
	return r.Cgroups
}
