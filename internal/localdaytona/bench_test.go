package localdaytona_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func BenchmarkBareForkExec(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/bin/bash", "-c", "true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateToReady(b *testing.B) {
	h := open(b, nil)
	b.ReportMetric(0, "allocs/op")
	for b.Loop() {
		h.create(b, nil)
	}
}

func BenchmarkSessionExec(b *testing.B) {
	box := open(b, nil).create(b, nil)
	box.session(b, "s")
	for b.Loop() {
		box.exec(b, "s", "true")
	}
}

func BenchmarkExecute(b *testing.B) {
	box := open(b, nil).create(b, nil)
	for b.Loop() {
		box.run(b, "true")
	}
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
