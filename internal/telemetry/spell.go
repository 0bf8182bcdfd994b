package telemetry

import "time"

// again is when a fault that goes on is to be logged once more.
const again = time.Minute

// Spell says what to log of something that is tried again and again: a fault when it begins and once a minute while it goes
// on, and that it is over. A database that is away for an hour is one thing that happened, and not ten thousand. The zero
// value is ready; it belongs to one goroutine.
type Spell struct{ told time.Time }

// Word is what to log after a try.
type Word int

// What to log.
const (
	Silence Word = iota // nothing: it is as it was
	Broken              // the error
	Mended              // that it works again
)

// Note notes how a try ended.
func (s *Spell) Note(err error) Word {
	switch now := time.Now(); {
	case err == nil && s.told.IsZero():
		return Silence
	case err == nil:
		*s = Spell{}
		return Mended
	case !s.told.IsZero() && now.Sub(s.told) < again:
		return Silence
	default:
		s.told = now
		return Broken
	}
}
