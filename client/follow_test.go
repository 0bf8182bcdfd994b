package client_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"pgregory.net/rapid"

	"sandpiper/client"
)

// TestFollowAJobWhoseEventsWereDeleted gives what is left, wherever it begins.
func TestFollowAJobWhoseEventsWereDeleted(t *testing.T) {
	for _, after := range []int64{0, 3, 7} {
		f := newFake(t, table(8), func(s *socket) { s.send(8); s.idle() })
		f.gone, f.state = 7, client.Succeeded
		got, err := collect(t, f.client(), after)
		if err != nil {
			t.Errorf("after %d: %v", after, err)
		}
		same(t, got, f.table[7:])
	}
}

// TestFollowGivesEveryEventOnce: whatever the connections do, the reader gets the table, once and in order.
func TestFollowGivesEveryEventOnce(t *testing.T) {
	for name, sockets := range map[string][]func(*socket){
		"a quiet day":                          {behave},
		"cut without a word after every event": {func(s *socket) { s.send(s.after + 1) }},
		"cut before anything came":             {func(*socket) {}, func(*socket) {}, behave},
		"everything twice":                     {func(s *socket) { s.send(1, 1, 2, 2, 3); behave(s) }},
		"from the start at each return": {
			func(s *socket) { s.send(1, 2, 3) },
			func(s *socket) { s.send(1, 2, 3, 4, 5, 6, 7, 8); s.idle() },
		},
		"a jump over two events":      {func(s *socket) { s.send(1, 4, 5); s.after = 5; behave(s) }},
		"only done":                   {func(s *socket) { s.send(8); s.idle() }},
		"backwards":                   {func(s *socket) { s.send(8, 7, 6, 5, 4, 3, 2, 1); s.idle() }},
		"words that are not messages": {func(s *socket) { s.send(1, 2); s.raw("<html>") }, behave},
		"another job's messages": {func(s *socket) {
			s.raw(`{"type":"done","jobId":"other","seq":1}`)
			behave(s)
		}},
		"a server that restarts": {
			func(s *socket) {
				s.send(1, 2)
				_ = s.conn.Close(4001, "server restarts: reconnect with after=<last seq>")
			},
			behave,
		},
		"a message type of tomorrow": {func(s *socket) {
			s.api.table[1].Type = "thought"
			behave(s)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, table(8), sockets...)
			f.page = 3
			got, err := collect(t, f.client(), 0)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, f.table)
		})
	}
}

func TestFollowComesBackWithItsLastSeq(t *testing.T) {
	f := newFake(t, table(5), func(s *socket) { s.send(1, 2) }, func(s *socket) { s.send(3) }, behave)
	if _, err := collect(t, f.client(), 0); err != nil {
		t.Fatal(err)
	}
	if want := []int64{0, 2, 3}; !reflect.DeepEqual(f.afters, want) {
		t.Errorf("connected after %v, want %v", f.afters, want)
	}
}

func TestFollowBeginsWhereItIsTold(t *testing.T) {
	f := newFake(t, table(6), behave)
	got, err := collect(t, f.client(), 4)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, f.table[4:])
}

// TestFollowUnderRandomFaults mixes every fault, with positions that rapid chooses and shrinks.
func TestFollowUnderRandomFaults(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(r, "events")
		seed := rapid.Uint64().Draw(r, "seed")
		after := rapid.Int64Range(0, int64(n-1)).Draw(r, "after")
		f := newFake(t, table(n), func(s *socket) {
			dice := rand.New(rand.NewPCG(seed, uint64(s.after)))
			for range dice.IntN(10) {
				s.send(1 + dice.Int64N(int64(n)))
			}
			s.send(min(s.after+1, int64(n))) // progress, or the test would have no end
		})
		f.page = 1 + int(seed%7)
		defer f.Close()
		got, err := collect(t, f.client(), after)
		if err != nil {
			r.Fatal(err)
		}
		if seqs(got) != seqs(f.table[after:]) {
			r.Fatalf("after %d got %s, want %s", after, seqs(got), seqs(f.table[after:]))
		}
	})
}

func TestFollowDoesNotTrustSilence(t *testing.T) {
	for name, mute := range map[string]func(*socket){
		"a socket that lives and sends nothing more": func(s *socket) { s.send(1, 2); s.idle() },
		"a socket that is dead":                      func(s *socket) { s.send(1, 2); <-s.ctx.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, table(5), func(s *socket) {
				ctx, stop := context.WithTimeout(s.ctx, 2*time.Second)
				defer stop()
				s.ctx = ctx
				mute(s)
			}, behave)
			f.state = client.Succeeded
			got, err := collect(t, f.impatient(), 0)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, f.table)
		})
	}
}

func TestFollowOfAnEndedJobEnds(t *testing.T) {
	f := newFake(t, table(5), func(s *socket) { s.idle() })
	f.state = client.Failed
	got, err := collect(t, f.client(), 5)
	if err != nil || len(got) > 0 {
		t.Errorf("got %v, %v, want nothing", got, err)
	}
}

func TestFollowTakesALongAnswer(t *testing.T) {
	events := table(3)
	events[1].Data = strings.Repeat("long ", 1<<20)
	f := newFake(t, events, behave)
	got, err := collect(t, f.client(), 0)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, events)
}

func TestFollowSaysWhatTheTableLacks(t *testing.T) {
	events := table(6)
	lacking := append(events[:2:2], events[3:]...)
	f := newFake(t, events, func(s *socket) { s.send(1, 2, 4); s.idle() })
	f.table = lacking
	f.sockets[0] = func(s *socket) { s.send(1, 2, 3); s.idle() } // the third row is seq 4
	got, err := collect(t, f.client(), 0)
	if err == nil || !strings.Contains(err.Error(), "4 comes after 2") {
		t.Errorf("got %s and %v, want a complaint about 3", seqs(got), err)
	}
}

func TestFollowGivesUpWhenItIsRefused(t *testing.T) {
	t.Run("by a problem document", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusNotFound, "JOB_NOT_FOUND")
		}))
		defer srv.Close()
		c := client.New(srv.URL, client.Options{HTTP: srv.Client(), Pause: time.Millisecond})
		got, err := collect(t, c, 0)
		var p *client.Problem
		if len(got) > 0 || !errors.As(err, &p) || p.Status != 404 || p.Code != "JOB_NOT_FOUND" {
			t.Errorf("got %v, %v, want a Problem JOB_NOT_FOUND", got, err)
		}
	})
	t.Run("by a close that says do not come back", func(t *testing.T) {
		f := newFake(t, table(5), func(s *socket) {
			s.send(1)
			_ = s.conn.Close(websocket.StatusCode(4501), "ticket used or expired: get a new one")
		})
		got, err := collect(t, f.client(), 0)
		var closed *client.Closed
		if len(got) != 1 || !errors.As(err, &closed) || closed.Code != 4501 {
			t.Errorf("got %s, %v, want one event and a Closed 4501", seqs(got), err)
		}
	})
}

func TestFollowWaitsForAnAPIThatIsAway(t *testing.T) {
	f := newFake(t, table(4), behave)
	inner := f.Config.Handler
	var asked int
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked <= 3 {
			w.WriteHeader([]int{500, 502, 503}[asked-1])
			return
		}
		inner.ServeHTTP(w, r)
	})
	got, err := collect(t, f.client(), 0)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, f.table)
}

func TestFollowEndsWithItsContext(t *testing.T) {
	f := newFake(t, table(4), func(s *socket) { s.send(1); s.idle() })
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	why := errors.New("the reader went home")
	var last error
	for e, err := range f.client().Follow(ctx, "j", 0) {
		if last = err; e.Seq == 1 {
			stop(why)
		}
	}
	if !errors.Is(last, why) {
		t.Errorf("ended with %v, want %v", last, why)
	}
}

func TestABrokenLoopClosesTheSocket(t *testing.T) {
	closed := make(chan struct{})
	f := newFake(t, table(4), func(s *socket) { s.rest(); s.idle(); close(closed) })
	for range f.client().Follow(t.Context(), "j", 0) {
		break
	}
	select {
	case <-closed:
	case <-time.After(2 * time.Minute):
		t.Error("the socket is still open")
	}
}
