package e2e

import (
	"encoding/json"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sandpiper/client"
	"sandpiper/internal/redistest"
)

var silence = flag.Duration("silence", 2*time.Second, "how long Redis is away, silent or slow")

// held is the most that a Redis in trouble may add to a submit; busy is what a busy machine may add to it.
const held, busy = 200 * time.Millisecond, time.Second

// redisFault is a Redis, what goes wrong with it, and how that ends.
type redisFault struct {
	url        string
	harm, heal func()
	said       bool // the log says that it went, and that it is back
}

var redisFaults = map[string]func(t *testing.T) redisFault{
	"nothing is wrong": func(t *testing.T) redisFault {
		return redisFault{redistest.Start(t).URL(), func() {}, func() {}, false}
	},
	"it loses everything": func(t *testing.T) redisFault {
		s := redistest.Start(t)
		return redisFault{s.URL(), func() { s.Flush(t) }, func() { s.Flush(t) }, false}
	},
	"it is gone, and comes back empty": func(t *testing.T) redisFault {
		s := redistest.Start(t)
		return redisFault{s.URL(), func() { s.Stop(t) }, func() { s.Restart(t) }, true}
	},
	"it is silent": func(t *testing.T) redisFault {
		s := redistest.Start(t)
		return redisFault{s.URL(), func() { s.Pause(t) }, func() { s.Resume(t) }, true}
	},
	"it answers in 5 s": func(t *testing.T) redisFault {
		slow := redistest.StartSlow(t, redistest.Start(t).Addr())
		return redisFault{slow.URL(), func() { slow.Delay(5 * time.Second) }, func() { slow.Delay(0) }, true}
	},
	"its master is gone for good": func(t *testing.T) redisFault {
		w := redistest.StartSentinels(t, 3)
		return redisFault{w.URL(), func() { w.Master.Stop(t) }, func() {}, true}
	},
	"a node of its Cluster is gone, and comes back empty": func(t *testing.T) redisFault {
		c := redistest.StartCluster(t)
		s := c.Of(t, "asynq:{interactive}:pending")
		return redisFault{c.URL(), func() { s.Stop(t) }, func() { s.Restart(t) }, true}
	},
}

// TestATroubledRedisCostsDelayAndNothingElse: before, while and after a real Redis is in trouble, every submit is taken
// in time, every job succeeds at the first attempt, and a socket hears every event of every job, in order and once.
func TestATroubledRedisCostsDelayAndNothingElse(t *testing.T) {
	for name, fault := range redisFaults {
		t.Run(name, func(t *testing.T) {
			f := fault(t)
			h := open(t, "SANDPIPER_EXECUTOR=noop", "REDIS_URL="+f.url)
			heard := h.hear(t)
			ids := h.keepSubmitting(t, "before", 500*time.Millisecond)
			already := h.said("redis is away") // on a very busy machine it may seem so
			f.harm()
			ids = append(ids, h.keepSubmitting(t, "in trouble", *silence)...)
			if f.said {
				eventually(t, "the loss is in the log", func() bool { return h.said("redis is away") > 0 })
				if n := h.said("redis is away") - already; n > h.processes {
					t.Errorf("the logs of %d processes say %d times that redis is away, want once each", h.processes, n)
				}
			}
			f.heal()
			ids = append(ids, h.keepSubmitting(t, "after", 500*time.Millisecond)...)
			for _, id := range ids {
				if j := h.ended(t, id); j.State != client.Succeeded || j.Attempt != 1 || j.Tries != 0 {
					t.Errorf("job %s = %s %+v, attempt %d, tries %d", id, j.State, j.Error, j.Attempt, j.Tries)
				}
			}
			heard.wanted(t, ids)
			eventually(t, "the return is in the log", func() bool { return h.said("redis is back") == h.said("redis is away") })
		})
	}
}

// keepSubmitting submits a job every 20 ms for so long, and says how long each submit took.
func (h *house) keepSubmitting(t *testing.T, when string, d time.Duration) (ids []string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var took []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
		begun := time.Now()
		ids = append(ids, h.submit(t, client.Submit{Input: "hi"}))
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	t.Logf("%s: %d submits took p50 %v, p99 %v, at most %v", when, len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	if longest := took[len(took)-1]; longest > held+busy {
		t.Errorf("%s: a submit took %v, held up by more than %v and what a busy machine adds", when, longest, held)
	}
	return ids
}

// said counts lines of the log.
func (h *house) said(message string) int {
	return strings.Count(h.log.String(), `"msg":"`+message)
}

// heard are the events of user123's jobs as one socket brings them.
type heard struct {
	events <-chan client.Event
	last   map[string]int64 // :: job → seq of its newest event
	done   map[string]bool
}

// hear opens a socket that is read until the test ends.
func (h *house) hear(t *testing.T) *heard {
	t.Helper()
	socket, _, err := websocket.Dial(t.Context(), strings.Replace(h.URL(), "http", "ws", 1)+"/ws?userId=user123", nil)
	if err != nil {
		t.Fatal(err)
	}
	events, ended := make(chan client.Event, 100_000), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(events)
		for {
			_, raw, err := socket.Read(t.Context())
			var e client.Event
			if err != nil || json.Unmarshal(raw, &e) != nil {
				return
			}
			events <- e
		}
	}()
	t.Cleanup(func() { socket.CloseNow(); <-ended })
	return &heard{events, map[string]int64{}, map[string]bool{}}
}

// wanted reads until every job is done, each event one after the other.
func (s *heard) wanted(t *testing.T, ids []string) {
	t.Helper()
	late := time.After(time.Minute)
	for len(s.done) < len(ids) {
		select {
		case e, open := <-s.events:
			if !open {
				t.Fatalf("the socket ended with %d of %d jobs done", len(s.done), len(ids))
			}
			if s.done[e.JobID] || e.Seq != s.last[e.JobID]+1 {
				t.Errorf("event %d of %s came after %d, done %v", e.Seq, e.JobID, s.last[e.JobID], s.done[e.JobID])
			}
			s.last[e.JobID] = e.Seq
			if e.Type == client.EventDone {
				s.done[e.JobID] = true
			}
		case <-late:
			t.Fatalf("%d of %d jobs done on the socket", len(s.done), len(ids))
		}
	}
}
