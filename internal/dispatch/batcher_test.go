package dispatch_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"sandpiper/internal/dispatch"
)

// pile stands for the store: it holds batches with chunks to do.
type pile struct {
	chunks  []int // :: turn → how many batches it finds
	others  bool  // another process holds the turn
	err     error
	silence time.Duration
	counts  int   // chunks that are still to be counted
	left    []int // :: how often there was something to count → turns that were still to come
}

func (p *pile) CountBatches(context.Context) (int, error) {
	if p.counts--; p.counts >= 0 {
		p.left = append(p.left, len(p.chunks))
	}
	return max(0, p.counts+1), nil
}

func (p *pile) HoldTurn(context.Context, string, string, time.Duration) (bool, error) {
	return !p.others, nil
}

func (p *pile) TurnBatches(_ context.Context, silence time.Duration) (n int, err error) {
	p.silence = silence
	if len(p.chunks) > 0 {
		n, p.chunks = p.chunks[0], p.chunks[1:]
	}
	return n, p.err
}

func TestATurnWorksAtBatchesUntilNothingIsLeft(t *testing.T) {
	for name, tc := range map[string]struct {
		p    pile
		done int
	}{
		"nothing":                     {pile{}, 0},
		"some":                        {pile{chunks: []int{2, 2, 1}}, 5},
		"it is another process' turn": {pile{chunks: []int{2}, others: true}, 0},
		"the database is away":        {pile{chunks: []int{2, 2}, err: errAway}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			tc.p.counts = 2
			b := dispatch.NewBatcher(&tc.p, dispatch.BatcherOptions{Silence: time.Hour, Log: quiet})
			n, err := b.Turn(t.Context())
			if n != tc.done || err != tc.p.err {
				t.Errorf("did %d chunks, %v; want %d", n, err, tc.done)
			}
			if counted := tc.p.counts == -1; counted != (err == nil && !tc.p.others) {
				t.Errorf("%d chunks are still to be counted", tc.p.counts)
			}
			if !tc.p.others && tc.p.silence != time.Hour {
				t.Errorf("gives uploads up after %v", tc.p.silence)
			}
		})
	}
}

// TestALongTurnCountsMeanwhile: the figures of a large batch are asked for while it is worked at.
func TestALongTurnCountsMeanwhile(t *testing.T) {
	p := pile{chunks: []int{1, 1, 1}, counts: 2}
	b := dispatch.NewBatcher(&p, dispatch.BatcherOptions{Count: time.Nanosecond, Log: quiet})
	if n, err := b.Turn(t.Context()); n != 3 || err != nil || !slices.Equal(p.left, []int{2, 2}) {
		t.Errorf("%d chunks, %v; counted with %d turns to come", n, err, p.left)
	}
}
