package queue_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"sandpiper/internal/queue"
)

// measured are the ways of asking that are compared.
var measured = []queue.Options{
	{TaskCheckInterval: time.Millisecond},
	{TaskCheckInterval: time.Millisecond, Alone: true},
}

func name(o queue.Options) string {
	return fmt.Sprintf("every=%v/alone=%v", o.TaskCheckInterval, o.Alone)
}

func idle(b *testing.B, o queue.Options, handle func(context.Context, string)) *queue.Queue {
	b.Helper()
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	q, err := queue.Open(embedded(b).URL(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { q.Close() })
	consume(b, q, 8, handle)
	return q
}

// From Push to the begin of the handler, when nothing else waits, at any moment between two looks.
func BenchmarkPushToHandler(b *testing.B) {
	for _, o := range measured {
		b.Run(name(o), func(b *testing.B) {
			came := make(chan time.Time)
			q := idle(b, o, func(context.Context, string) { came <- time.Now() })
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				moment := time.After(rand.N(3 * o.TaskCheckInterval))
				<-moment
				begun := time.Now()
				push(b, q, hint(fmt.Sprint("job_", i), 0))
				took = append(took, next(b, came, "the hint").Sub(begun))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// What a consumer and an embedded Redis cost while nothing is to be done, in percent of a core: one second each.
func BenchmarkIdleConsumer(b *testing.B) {
	for _, o := range measured {
		b.Run(name(o), func(b *testing.B) {
			idle(b, o, func(context.Context, string) {})
			before, seconds := used(b), 0
			for b.Loop() {
				window := time.After(time.Second)
				<-window
				seconds++
			}
			b.ReportMetric(100*(used(b)-before).Seconds()/float64(seconds), "%core")
		})
	}
}

func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
