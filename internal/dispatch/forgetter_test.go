package dispatch_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"sandpiper/internal/dispatch"
)

// drawer stands for the store: it holds old keys.
type drawer struct {
	old    int
	others bool // another process holds the turn
	err    error
	asked  []int // limits
	age    time.Duration
}

func (d *drawer) HoldTurn(context.Context, string, string, time.Duration) (bool, error) {
	return !d.others, nil
}

func (d *drawer) ForgetKeys(_ context.Context, age time.Duration, limit int) (int, error) {
	d.asked, d.age = append(d.asked, limit), age
	n := min(limit, d.old)
	d.old -= n
	return n, d.err
}

func TestATurnForgetsWhatIsOldInBatches(t *testing.T) {
	for name, tc := range map[string]struct {
		d         drawer
		forgotten int
		asked     []int
	}{
		"nothing is old":              {drawer{}, 0, []int{10}},
		"less than a batch":           {drawer{old: 7}, 7, []int{10}},
		"a batch, and perhaps more":   {drawer{old: 10}, 10, []int{10, 10}},
		"several":                     {drawer{old: 25}, 25, []int{10, 10, 10}},
		"it is another process' turn": {drawer{old: 25, others: true}, 0, nil},
		"the database is away":        {drawer{old: 25, err: errAway}, 10, []int{10}},
	} {
		t.Run(name, func(t *testing.T) {
			f := dispatch.NewForgetter(&tc.d, dispatch.ForgetterOptions{Keep: time.Hour, Batch: 10, Log: quiet})
			n, err := f.Turn(t.Context())
			if n != tc.forgotten || err != tc.d.err || !slices.Equal(tc.d.asked, tc.asked) {
				t.Errorf("forgot %d, %v, in batches of %v; want %d in %v", n, err, tc.d.asked, tc.forgotten, tc.asked)
			}
			if len(tc.asked) > 0 && tc.d.age != time.Hour {
				t.Errorf("forgot what is older than %v", tc.d.age)
			}
		})
	}
}
