package e2e

import (
	"slices"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/claude"
	"sandpiper/internal/offline/realcli"
	"sandpiper/snapshot"
)

// BenchmarkWarmJob measures, in turn: the guide's command run by hand, our own command line run by hand, and a job
// through the API in a sandbox that was used before. The model answers at once. It prints medians in milliseconds,
// what the job costs beyond our command line, and how often it calls the platform: three times where the command ends
// within a quarter of a second after its first line, and once more for each further look.
func BenchmarkWarmJob(b *testing.B) {
	h, platform := counted(b)
	prompt := "What is the square root of 16?"
	policy := snapshot.Policy()
	ours := claude.Args(claude.Options{Model: "sonnet", SessionID: "", Policy: claude.Policy{
		Tools: policy.Tools, Allowed: policy.Allowed, Settings: string(policy.Settings),
	}})
	h.ask(b, client.Submit{Input: prompt}) // the sandbox is made
	platform.since()
	home := b.TempDir()
	var guide, bare, job []float64
	took := func(into *[]float64, f func()) {
		began := time.Now()
		f()
		*into = append(*into, float64(time.Since(began).Microseconds())/1000)
	}
	b.ResetTimer()
	for b.Loop() {
		took(&guide, func() {
			realcli.Run(b, realcli.Options{URL: h.model.URL(), Prompt: prompt, Home: home, Args: []string{"--output-format", "json", "--model", "sonnet"}})
		})
		took(&bare, func() {
			realcli.Run(b, realcli.Options{URL: h.model.URL(), Prompt: prompt, Home: home, Args: ours[2:]})
		})
		took(&job, func() { h.ask(b, client.Submit{Input: prompt}) })
	}
	b.ReportMetric(float64(len(platform.since()))/float64(len(job)), "calls/job")
	b.ReportMetric(median(guide), "guide-ms")
	b.ReportMetric(median(bare), "ours-ms")
	b.ReportMetric(median(job), "job-ms")
	b.ReportMetric(median(job)/median(guide), "job/guide")
	b.ReportMetric(median(job)-median(bare), "over-ours-ms")
	b.ReportMetric(0, "ns/op")
}

func median(ms []float64) float64 {
	slices.Sort(ms)
	return ms[len(ms)/2]
}
