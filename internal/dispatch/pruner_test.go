package dispatch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sandpiper/internal/dispatch"
)

// attic is a table with old events.
type attic struct {
	others bool // it is another's turn
	age    time.Duration
	most   int
	err    error
}

func (a *attic) HoldTurn(context.Context, string, string, time.Duration) (bool, error) {
	return !a.others, nil
}

func (a *attic) PruneEvents(_ context.Context, age time.Duration, most int) (int, error) {
	a.age, a.most = age, most
	return 7, a.err
}

func TestAPrunerKeepsToItsSettings(t *testing.T) {
	failed := errors.New("disk")
	for name, tc := range map[string]struct {
		attic attic
		keep  time.Duration
		want  int
		most  int
		err   error
	}{
		"a day":                 {keep: 24 * time.Hour, want: 7, most: 10_000},
		"for ever":              {keep: 0},
		"it is another's turn":  {attic: attic{others: true}, keep: time.Hour},
		"the database says why": {attic: attic{err: failed}, keep: time.Hour, want: 7, most: 10_000, err: failed},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := dispatch.NewPruner(&tc.attic, dispatch.PrunerOptions{Keep: tc.keep}).Turn(t.Context())
			if n != tc.want || !errors.Is(err, tc.err) || tc.attic.most != tc.most || (tc.most > 0 && tc.attic.age != tc.keep) {
				t.Errorf("Turn = %d, %v with %+v; want %d, %v", n, err, tc.attic, tc.want, tc.err)
			}
		})
	}
}
