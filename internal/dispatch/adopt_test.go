package dispatch_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sandpiper/internal/dispatch"
)

func TestAJobThatWasGivenBackIsTakenAtOnce(t *testing.T) {
	x := newSweeper(nil) // in touch with the database since just now
	x.s.lapsed, x.s.released = []string{"silent"}, []string{"given"}
	x.turn(t)
	wantTaken(t, x.w, "over given")
}

func TestAWorkerTakesAPartOfWhatAnotherLeft(t *testing.T) {
	for name, tc := range map[string]struct{ free, left, want int }{
		"few jobs, much room": {64, 3, 3},
		"many jobs":           {64, 500, 8},
		"little room":         {3, 500, 1},
		"no room":             {0, 500, 0},
		"nothing":             {64, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSweeper(nil)
			x.w.free = tc.free
			for n := range tc.left {
				x.s.released = append(x.s.released, fmt.Sprint(n))
			}
			if n := x.turn(t); n != tc.want || len(x.w.taken) != tc.want {
				t.Errorf("moved %d, the worker was given %d, want %d", n, len(x.w.taken), tc.want)
			}
		})
	}
}

func TestTwoWorkersRarelyChooseTheSame(t *testing.T) {
	a, b := newSweeper(nil), newSweeper(nil)
	for n := range 500 {
		a.s.released = append(a.s.released, fmt.Sprint(n))
	}
	b.s.released = a.s.released
	a.turn(t)
	b.turn(t)
	both, of := 0, map[string]bool{}
	for _, id := range a.w.taken {
		of[id] = true
	}
	for _, id := range b.w.taken {
		if of[id] {
			both++
		}
	}
	if both == len(b.w.taken) {
		t.Errorf("both chose the same %d of 500", both)
	}
}

// TestAWorkerWithRoomGoesOnSoon: the parts follow each other, and end when there is no more room.
func TestAWorkerWithRoomGoesOnSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSweeper(func(o *dispatch.SweeperOptions) { o.Now = time.Now })
		x.w.free = 64
		for n := range 500 {
			x.s.released = append(x.s.released, fmt.Sprint(n))
		}
		ctx, stop := context.WithTimeout(t.Context(), 450*time.Millisecond)
		defer stop()
		if err := x.Run(ctx); err != nil || len(x.w.taken) < 40 {
			t.Errorf("%d jobs within 450 ms, %v", len(x.w.taken), err)
		}
	})
}
