package run_test

import (
	"log/slog"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"sandpiper/internal/localdaytona"
	"sandpiper/internal/run"
)

// BenchmarkRun measures what a run costs beyond its command, which does nothing here: the launch, and the follow to
// the end with the sweep of what may be left behind. Both are medians, beside a bare fork/exec of a shell.
func BenchmarkRun(b *testing.B) {
	o := localdaytona.Options{
		Dir: b.TempDir(), Key: "the-platform-key", Log: slog.New(slog.DiscardHandler),
		Workspace: []localdaytona.WorkspaceEntry{{Path: "workspace", Dir: true}},
	}
	server, err := localdaytona.New(o)
	if err != nil {
		b.Fatal(err)
	}
	s := newSandbox(b, server, o.Key, true)
	n := 0
	var bare, launch, follow []time.Duration
	took := func(into *[]time.Duration, f func()) {
		began := time.Now()
		f()
		*into = append(*into, time.Since(began))
	}
	for b.Loop() {
		took(&bare, func() {
			if err := exec.Command("/bin/bash", "-c", "true").Run(); err != nil {
				b.Fatal(err)
			}
		})
		n++
		var l run.Launch
		took(&launch, func() {
			l = s.started(s.launch("sleep 0.3; echo done", func(l *run.Launch) { l.RunID += strconv.Itoa(n) }))
		})
		began := time.Now()
		s.followed(l.RunID)
		follow = append(follow, time.Since(began))
	}
	for name, all := range map[string][]time.Duration{"fork-exec-ms": bare, "launch-ms": launch, "follow-of-300ms-ms": follow} {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, name)
	}
	b.ReportMetric(0, "ns/op")
}
