package job

import (
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestALaneGoesByWhatTheAPISays(t *testing.T) {
	limit, asks := Trouble{Code: APIRateLimited, Luck: 0.5}, Trouble{Code: APIRateLimited, Asked: 7 * time.Second, Luck: 0.5}
	auth := Trouble{Code: APIAuth, Park: true}
	open := Lane{State: LaneOpen}
	paused := open.Struck(noon, asks, false)
	probing := paused.Reopened(noon)
	for name, tc := range map[string]struct {
		got     Lane
		state   LaneState
		left    time.Duration
		strikes int
		allowed int
		gen     int64
	}{
		"paused for as long as the API asks":                {paused, LanePaused, 7 * time.Second, 0, 0, 1},
		"paused for something below a second":               {open.Struck(noon, limit, false), LanePaused, 500 * time.Millisecond, 0, 0, 1},
		"a second run that hears of it changes nothing":     {paused.Struck(noon, limit, false), LanePaused, 7 * time.Second, 0, 0, 1},
		"unless it was told more":                           {paused.Struck(noon.Add(time.Second), asks, false), LanePaused, 8 * time.Second, 0, 0, 1},
		"never for more than an hour":                       {open.Struck(noon, Trouble{Asked: 24 * time.Hour}, false), LanePaused, time.Hour, 0, 0, 1},
		"reopened for one":                                  {probing, LaneProbing, 0, 0, 1, 1},
		"then for two":                                      {probing.Answered(noon), LaneProbing, 0, 0, 2, 1},
		"a refused probe pauses longer":                     {probing.Struck(noon, asks, true), LanePaused, 8 * time.Second, 1, 0, 2},
		"also when nothing is asked for":                    {probing.Struck(noon, limit, true), LanePaused, 8 * time.Second, 1, 0, 2},
		"an older run that is refused is no strike":         {probing.Struck(noon, limit, false), LanePaused, 500 * time.Millisecond, 0, 0, 2},
		"an operator's fault parks":                         {open.Struck(noon, auth, false), LaneParked, 0, 0, 0, 1},
		"also while it is paused":                           {paused.Struck(noon, auth, false), LaneParked, 0, 0, 0, 2},
		"also a probe's":                                    {probing.Struck(noon, auth, true), LaneParked, 0, 0, 0, 2},
		"but not an older run's: it may have been repaired": {probing.Struck(noon, auth, false), LaneProbing, 0, 0, 1, 1},
		"a parked lane stays parked":                        {open.Struck(noon, auth, false).Struck(noon, asks, false), LaneParked, 0, 0, 0, 1},
		"a cleared one is tried with one":                   {open.Struck(noon, auth, false).Reopened(noon), LaneProbing, 0, 0, 1, 1},
		"an answer in a paused lane opens nothing":          {paused.Answered(noon), LanePaused, 7 * time.Second, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var left time.Duration
			if !tc.got.Until.IsZero() {
				left = tc.got.Until.Sub(noon)
			}
			g := tc.got
			if g.State != tc.state || left != tc.left || g.Strikes != tc.strikes || g.Allowed != tc.allowed || g.Gen != tc.gen {
				t.Errorf("%s, %v left, %d strikes, %d allowed, gen %d; want %+v", g.State, left, g.Strikes, g.Allowed, g.Gen, tc)
			}
		})
	}
}

func TestALaneDoublesUntilItIsOpen(t *testing.T) {
	l := Lane{State: LaneOpen}.Struck(noon, Trouble{Code: APIOverloaded}, false).Reopened(noon)
	var rounds []int
	for l.State == LaneProbing {
		rounds = append(rounds, l.Allowed)
		for range l.Allowed { // everybody who may run is answered
			l = l.Answered(noon)
		}
	}
	if len(rounds) != 5 || rounds[4] != 16 || l.State != LaneOpen || l.Strikes != 0 || l.Reason != "" {
		t.Errorf("rounds of %v, then %+v; want 1 2 4 8 16, then open", rounds, l)
	}
}

// TestPausesGrow whatever the jitter: a lane that is refused again and again is tried less and less, to a bound.
func TestPausesGrow(t *testing.T) {
	for _, luck := range []float64{0.1, 0.9} {
		l, last := Lane{State: LaneOpen}, time.Duration(0)
		for n := range 40 {
			l = l.Struck(noon, Trouble{Code: APIOverloaded, Luck: luck}, true)
			if l.Pause <= last && last < LaneLongest || l.Pause > 2*LaneLongest {
				t.Fatalf("luck %v: pause %d is %v after %v", luck, n, l.Pause, last)
			}
			last = l.Pause
			l = l.Reopened(noon)
		}
		if last < LaneLongest {
			t.Errorf("luck %v: the 40th pause is %v only", luck, last)
		}
	}
}

func TestALaneIsNamedWithoutItsKey(t *testing.T) {
	a, b, c := LaneID{"key", "opus"}, LaneID{"key", "sonnet"}, LaneID{"yek", "opus"}
	if a.Public() == b.Public() || a.Public() == c.Public() || strings.Contains(a.Public(), "key") {
		t.Errorf("%s, %s and %s: want three, without the key", a.Public(), b.Public(), c.Public())
	}
}
