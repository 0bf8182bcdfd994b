package telemetry

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFaultThatGoesOnIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Spell
		away := errors.New("away")
		for n, step := range []struct {
			after time.Duration
			err   error
			want  Word
		}{
			{0, nil, Silence},
			{time.Second, away, Broken},
			{time.Second, errors.New("away otherwise"), Silence},
			{58 * time.Second, away, Silence},
			{time.Second, away, Broken},
			{time.Second, nil, Mended},
			{time.Second, nil, Silence},
			{time.Second, away, Broken}, // another one
		} {
			time.Sleep(step.after) // the bubble's clock: no time passes
			if got := s.Note(step.err); got != step.want {
				t.Errorf("step %d: %v, want %v", n, got, step.want)
			}
		}
	})
}
