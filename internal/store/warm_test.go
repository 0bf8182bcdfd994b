package store

import (
	"testing"
	"time"
)

func TestHowManyWereTakenWithinASpan(t *testing.T) {
	for name, tc := range map[string]struct {
		times []int64 // the newest first
		want  int
	}{
		"none":                       {nil, 0},
		"one":                        {[]int64{7}, 1},
		"all of one moment":          {[]int64{7, 7, 7}, 3},
		"a span apart is not within": {[]int64{30, 20, 10}, 1},
		"a burst before":             {[]int64{100, 59, 55, 52, 51, 20}, 4},
		"a burst at last":            {[]int64{109, 105, 101, 60, 20}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mostWithin(tc.times, 10); got != tc.want {
				t.Errorf("within 10 of %v there are %d at most, want %d", tc.times, got, tc.want)
			}
		})
	}
}

// TestRestsGrow while the platform goes on having no room, and begin anew when it had some for as long as the last one was.
func TestRestsGrow(t *testing.T) {
	var r rest
	for _, want := range []time.Duration{15, 30, 60, 120, 240, 480, 600, 600} {
		if r = r.next(); r.length != (want*time.Second).Milliseconds() || !r.going() {
			t.Errorf("a rest of %d ms, going %v; want %v s", r.length, r.going(), int(want))
		}
		r.now = r.until
		if r.going() || !r.lately() {
			t.Errorf("at its end it is going: %v, lately: %v", r.going(), r.lately())
		}
	}
	r.now = r.until + r.length
	if r = r.next(); r.length != leastRest.Milliseconds() {
		t.Errorf("after a while with room, a rest of %d ms", r.length)
	}
}
