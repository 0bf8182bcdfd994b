package job

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// LaneID names the way of one key to one model, which is what the model API limits.
type LaneID struct {
	Key   string // the fingerprint of the key, never the key; "" is a worker without lanes
	Model string // as jobs ask for it
}

// Public is the name that operators use. It tells neither the key nor, by its form, the model.
func (l LaneID) Public() string {
	sum := sha256.Sum256([]byte(l.Key + "\x00" + l.Model))
	return "lane_" + hex.EncodeToString(sum[:8])
}

// LaneState says whether jobs may go into a lane.
type LaneState string

// The states of a lane, each with how it is left.
const (
	LaneOpen    LaneState = "open"    // everybody may; leaves when the API refuses
	LanePaused  LaneState = "paused"  // nobody may; leaves at Until, to probing
	LaneProbing LaneState = "probing" // so many as Allowed may at once; leaves to open, or to paused when a probe is refused
	LaneParked  LaneState = "parked"  // nobody may; leaves when an operator clears it, to probing
)

// Lane is what is known of one lane. Its methods are the whole machine: they take the time and return what becomes of it.
type Lane struct {
	LaneID
	State   LaneState
	Code    Code      // of the failure that closed it
	Reason  string    // the same for people
	Until   time.Time // paused: when it is tried again
	Since   time.Time // when it came into its state
	Strikes int       // probes that were refused since it was open
	Pause   time.Duration
	Allowed int   // probing: how many jobs may run at once
	Taken   int   // probing: how many do
	Gen     int64 // counts its closings; the probes of one opening carry it

	AnsweredAt time.Time // when the model last answered one of its probes
}

// LaneView is a lane with what goes on in it.
type LaneView struct {
	Lane
	Running int // jobs that run in it, also those that were let in before it closed
	Waiting int // queued jobs that wait for its model
}

// Trouble is what a run heard from the API that is no fault of its own.
type Trouble struct {
	Code  Code
	Asked time.Duration // how long the API asked to wait; 0 when it did not say
	Park  bool          // a person has to put it right
	Luck  float64       // 0 to 1, for the jitter
}

// What a lane's pauses are made of, and when it counts as open again.
const (
	LaneBackoff   = time.Second     // the bound of the first pause that nobody asked for; it doubles with each strike
	LaneLongest   = 5 * time.Minute // of a bound
	LaneMostAsked = time.Hour       // of what the API may ask for
	LaneFree      = 32              // so many at once are as good as no limit
)

// Struck is l after trouble that one of its runs had. probe says that the run was let in by this opening: only then does
// it tell whether the opening was right.
func (l Lane) Struck(now time.Time, tr Trouble, probe bool) Lane {
	switch {
	case l.State == LaneParked:
		return l
	case tr.Park && l.State == LaneProbing && !probe:
		return l // what it was refused may have been put right since; the probe will tell
	case tr.Park:
		return l.closed(now, LaneParked, tr)
	case l.State == LanePaused: // several runs hear of one limit
		if until := now.Add(min(tr.Asked, LaneMostAsked)); until.After(l.Until) {
			l.Until = until
		}
		return l
	case l.State == LaneProbing && probe:
		l.Strikes++
	}
	l = l.closed(now, LanePaused, tr)
	l.Pause = l.pause(tr)
	l.Until = now.Add(l.Pause)
	return l
}

// pause is how long to wait: what the API asks for, else anything below a bound that doubles. After a probe that was
// refused it is longer than the last time, whatever was asked for then.
func (l Lane) pause(tr Trouble) time.Duration {
	bound := LaneBackoff
	for range l.Strikes {
		bound = min(2*bound, LaneLongest)
	}
	jitter := time.Duration(tr.Luck * float64(bound))
	asked := min(tr.Asked, LaneMostAsked)
	switch {
	case l.Strikes > 0:
		return max(asked, min(l.Pause, LaneLongest)) + jitter
	case asked > 0:
		return asked
	}
	return jitter
}

func (l Lane) closed(now time.Time, s LaneState, tr Trouble) Lane {
	l.State, l.Code, l.Reason, l.Since = s, tr.Code, laneReason(tr.Code), now
	l.Until, l.Allowed, l.Taken = time.Time{}, 0, 0
	l.Gen++
	return l
}

// Reopened is l when its pause is over or an operator has cleared it: one job may show whether that is right.
func (l Lane) Reopened(now time.Time) Lane {
	if l.State == LaneParked {
		l.Strikes, l.Pause = 0, 0
	}
	l.State, l.Since, l.Until, l.Allowed, l.Taken = LaneProbing, now, time.Time{}, 1, 0
	return l
}

// Answered is l after the model has answered one of its probes: there may be one more. So the number doubles when all
// that may run at once were answered.
func (l Lane) Answered(now time.Time) Lane {
	if l.State != LaneProbing {
		return l
	}
	l.AnsweredAt = now
	if l.Allowed++; l.Allowed >= LaneFree {
		return l.Opened(now)
	}
	return l
}

// Opened is l without any limit.
func (l Lane) Opened(now time.Time) Lane {
	return Lane{LaneID: l.LaneID, State: LaneOpen, Since: now, Gen: l.Gen, AnsweredAt: l.AnsweredAt}
}

// WaitingFor is what a job that waits for l shows.
func (l Lane) WaitingFor() string { return fmt.Sprintf("model %s: %s", l.Model, l.Reason) }

// laneReason says what a code means for everybody who would use the same key and model.
func laneReason(c Code) string {
	switch c {
	case APIRateLimited:
		return "the API has limited the rate of requests (429)"
	case APIOverloaded:
		return "the API is overloaded (529)"
	case APICredit:
		return "the account has no credit: an operator must pay it up, then clear the lane"
	case APIAuth:
		return "the API refuses the key: an operator must put it right, then clear the lane"
	case NotLoggedIn:
		return "the command has no key that it takes: an operator must put it right, then clear the lane"
	}
	return "the API refuses (" + string(c) + ")"
}
