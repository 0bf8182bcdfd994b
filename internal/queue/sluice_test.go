package queue_test

import (
	"context"
	"fmt"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/queue"
)

// TestBulkHintsLeaveAHandlerToOthers: seven of eight handlers are with bulk jobs that go on and on, and more of these
// wait; what comes for a person is taken nevertheless, and the next bulk hint when one of the seven has ended.
func TestBulkHintsLeaveAHandlerToOthers(t *testing.T) {
	for name, o := range map[string]queue.Options{"shared": {}, "alone": {Alone: true}} {
		t.Run(name, func(t *testing.T) {
			q, err := queue.Open(embedded(t).URL(), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { q.Close() })
			begun, finish := make(chan string, 20), make(chan struct{})
			consume(t, q, 8, func(ctx context.Context, id string) {
				begun <- id
				select {
				case <-finish:
				case <-ctx.Done():
				}
			})
			for i := range 10 {
				push(t, q, job.Hint{JobID: fmt.Sprint("bulk_", i), Priority: job.Bulk})
			}
			for range 7 {
				next(t, begun, "a bulk hint")
			}
			push(t, q, hint("job_1", 0))
			if id := next(t, begun, "a person's hint"); id != "job_1" {
				t.Errorf("%s came, want the person's", id)
			}
			if n, err := q.Depth(t.Context()); n != 3 {
				t.Errorf("%d hints wait (%v), want the three bulk ones beyond seven", n, err)
			}
			finish <- struct{}{}
			finish <- struct{}{}
			next(t, begun, "the next bulk hint")
			close(finish)
		})
	}
}
