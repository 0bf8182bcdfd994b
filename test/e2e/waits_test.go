package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sandpiper/client"
)

// wait is how long one prompt waited.
type wait struct {
	asked    time.Time     // when it was submitted
	accepted time.Duration // until that was answered
	begun    time.Duration // from its creation to its claim
}

// waits are those of one person's prompts, in the order in which they were asked.
type waits []wait

func (w waits) sorted() waits {
	return slices.SortedFunc(slices.Values(w), func(a, b wait) int { return int(a.begun - b.begun) })
}

func (w waits) most() time.Duration { return w.sorted()[len(w)-1].begun }

// String tells the median and the slowest, and when those were asked: a database's log says what it did then.
func (w waits) String() string {
	sorted := w.sorted()
	var b strings.Builder
	fmt.Fprintf(&b, "%d began after %v, at most %v", len(w), sorted[len(w)/2].begun, sorted[len(w)-1].begun)
	for _, each := range slices.Backward(sorted[max(0, len(w)-5):]) {
		fmt.Fprintf(&b, "\n\tasked at %s, accepted after %v, began after %v", each.asked.UTC().Format("15:04:05.000"), each.accepted, each.begun)
	}
	return b.String()
}

// asksNowAndThen has bob ask something ten times a second, until stop, which says how long each prompt waited.
func (f *fleet) asksNowAndThen(t testing.TB, input string) (stop func() waits) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	type heard struct {
		waits
		err error
	}
	all := make(chan heard, 1)
	go func() {
		var h heard
		for tick := time.Tick(100 * time.Millisecond); ctx.Err() == nil && h.err == nil; <-tick {
			var w wait
			w, h.err = f.wait(t.Context(), input)
			h.waits = append(h.waits, w)
		}
		all <- h
	}()
	return func() waits {
		end()
		h := <-all
		if h.err != nil {
			t.Fatal(h.err)
		}
		return h.waits
	}
}

// wait has bob ask something, until it is answered.
func (f *fleet) wait(ctx context.Context, input string) (w wait, err error) {
	w.asked = time.Now()
	id, err := f.api.Submit(ctx, client.Submit{UserID: "bob", Input: input})
	if err != nil {
		return w, err
	}
	w.accepted = time.Since(w.asked)
	j, err := f.api.Wait(ctx, id)
	w.begun = j.Timings.StartedAt.Sub(j.Timings.CreatedAt)
	return w, err
}
