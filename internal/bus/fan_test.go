package bus_test

import (
	"testing"

	"pgregory.net/rapid"

	"sandpiper/internal/bus"
	"sandpiper/internal/job"
)

func TestASlowListenerIsToldToReadAgainAndHoldsUpNobody(t *testing.T) {
	b := bus.New(nil, bus.Options{Buffer: 4})
	slow, stopSlow := b.Listen()
	defer stopSlow()
	quick, stopQuick := b.Listen()
	defer stopQuick()
	for i := range int64(100) {
		b.Publish(t.Context(), job.News{Seq: i + 1})
		if n := <-quick; n.Seq != i+1 {
			t.Fatalf("the quick one got %d, want %d", n.Seq, i+1)
		}
	}
	for i := range int64(4) {
		if n := <-slow; n.Seq != i+1 {
			t.Errorf("the slow one got %d, want %d", n.Seq, i+1)
		}
	}
	if n := <-slow; n != (job.News{}) {
		t.Errorf("then it got %+v, want the zero news", n)
	}
	b.Publish(t.Context(), job.News{Seq: 101})
	if n := <-slow; n.Seq != 101 {
		t.Errorf("then it got %d, want 101", n.Seq)
	}
}

func TestAListenerThatEndedGetsNothing(t *testing.T) {
	b := bus.New(nil, bus.Options{})
	news, stop := b.Listen()
	stop()
	stop()
	b.Publish(t.Context(), job.News{Seq: 1})
	if len(news) != 0 {
		t.Error("news for a listener that has ended")
	}
}

// Whatever the pace of a listener: when its channel is empty it knows of the newest news, by that itself or by a zero
// one that was put there later than the newest that it has missed.
func TestAListenerAlwaysKnowsOfTheNewest(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := bus.New(nil, bus.Options{Buffer: rapid.IntRange(1, 5).Draw(r, "buffer")})
		news, stop := b.Listen()
		defer stop()
		var sent, known int64
		read := func() {
			n := <-news
			if n == (job.News{}) {
				known = sent // it reads everything there is, now
				return
			}
			if n.Seq > known+1 {
				r.Fatalf("got %d after %d without being told to read again", n.Seq, known)
			}
			known = max(known, n.Seq)
		}
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			if rapid.Bool().Draw(r, "publish") {
				sent++
				b.Publish(t.Context(), job.News{Seq: sent})
			} else if len(news) > 0 {
				read()
			}
		}
		for len(news) > 0 {
			read()
		}
		if known != sent {
			r.Fatalf("knows %d of %d", known, sent)
		}
	})
}
