package storetest

import (
	"testing"

	"sandpiper/internal/store"
)

// Fixture opens one engine. Its functions are called by many goroutines.
type Fixture struct {
	New    func(t testing.TB) *store.Store                 // an empty store, which is the test's alone; see Kept
	Reopen func(t testing.TB, s *store.Store) *store.Store // closes s and opens the same database again
}

// Run runs the whole suite. Each fact gets an empty store.
func Run(t *testing.T, f Fixture) {
	run(t, f, [][]fact{
		submitFacts, claimFacts, fenceFacts, appendFacts, finishFacts, cancelFacts,
		sandboxFacts, dispatchFacts, readFacts, newsFacts, houseFacts, racingFacts, randomFacts, conversationFacts, spendFacts, pruneFacts, keyFacts, laneFacts,
		poisonFacts, batchFacts, roundFacts, seatFacts, reapFacts, roomFacts, warmFacts,
	})
	t.Run("what was committed is there after a new start", func(t *testing.T) { reopenKeeps(t, f) })
}

// RunCore runs what a job is made of: its submission, claims, appends and end.
func RunCore(t *testing.T, f Fixture) {
	run(t, f, [][]fact{submitFacts, claimFacts, appendFacts, finishFacts})
}

func run(t *testing.T, f Fixture, parts [][]fact) {
	for _, part := range parts {
		for _, tc := range part {
			t.Run(tc.name, func(t *testing.T) {
				t.Parallel() // most of the time goes by in waiting for the disk
				tc.check(t, f.New(t))
			})
		}
	}
}

// fact is one promise of the store and what breaks it.
type fact struct {
	name  string
	check func(t *testing.T, s *store.Store)
}
