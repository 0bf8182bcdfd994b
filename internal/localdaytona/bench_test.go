package localdaytona_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkBesideForkExec measures, in turn: a bare fork/exec of a shell, a command in a session, a one-shot command,
// and the making of a sandbox until it is ready. It prints medians, and what the two commands cost beyond the bare one.
func BenchmarkBesideForkExec(b *testing.B) {
	h := open(b, nil)
	box := h.create(b, nil)
	box.session(b, "s")
	ways := []struct {
		name string
		do   func()
		took []float64
	}{
		{name: "fork-exec-ms", do: func() {
			if err := exec.Command("/bin/bash", "-c", "true").Run(); err != nil {
				b.Fatal(err)
			}
		}},
		{name: "session-exec-ms", do: func() { box.exec(b, "s", "/bin/true") }},
		{name: "execute-ms", do: func() { box.run(b, "/bin/true") }},
		{name: "create-to-ready-ms", do: func() { h.create(b, nil) }},
	}
	for b.Loop() {
		for i := range ways {
			began := time.Now()
			ways[i].do()
			ways[i].took = append(ways[i].took, float64(time.Since(began).Microseconds())/1000)
		}
	}
	for i, w := range ways {
		slices.Sort(w.took)
		ways[i].took = w.took[len(w.took)/2:]
		b.ReportMetric(ways[i].took[0], w.name)
	}
	b.ReportMetric(ways[1].took[0]-ways[0].took[0], "session-exec-over-ms")
	b.ReportMetric(ways[2].took[0]-ways[0].took[0], "execute-over-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkProxy is the way to a daemon and back alone.
func BenchmarkProxy(b *testing.B) {
	box := open(b, nil).create(b, nil)
	for b.Loop() {
		box.must(b, 200, "GET", box.toolbox("/version"), nil)
	}
}

// BenchmarkIdleDaemon measures what an idle sandbox costs in memory.
func BenchmarkIdleDaemon(b *testing.B) {
	h := open(b, nil)
	box := h.create(b, nil)
	box.session(b, "s")
	box.exec(b, "s", "true")
	for b.Loop() {
		continue
	}
	status, err := os.ReadFile("/proc/" + daemonOf(b, h.dir, box.id) + "/smaps_rollup")
	if err != nil {
		b.Fatal(err)
	}
	var rss, private float64
	for _, line := range lines(string(status)) {
		f := strings.Fields(line)
		switch f[0] {
		case "Rss:":
			rss = kilobytes(b, f[1])
		case "Private_Dirty:", "Private_Clean:":
			private += kilobytes(b, f[1])
		}
	}
	b.ReportMetric(rss/1024, "MB-resident")
	b.ReportMetric(private/1024, "MB-private")
}
