package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// writeBig appends n log lines of 64 KiB.
func (h *house) writeBig(c store.Claimed, after int64, n int) int64 {
	h.t.Helper()
	b := store.Batch{AfterSeq: after}
	for range n {
		b.Events = append(b.Events, job.Log(time.Now(), strings.Repeat("x", 64<<10)))
	}
	last, err := h.store.Append(h.t.Context(), c.Attempt, b)
	if err != nil {
		h.t.Fatal(err)
	}
	return last
}

// watcher is a client that follows a job to its end, however often it is cut.
type watcher struct {
	h     *house
	query string // without after
	bySeq bool   // resumes by seq, else by cursor
	cuts  int    // how often it cuts its own connection
	after string
	seen  []string // every message, as it came
}

// follow reads until done. It cuts itself off after a random number of messages, cuts times.
func (w *watcher) follow(ctx context.Context) error {
	for cut := 0; ; cut++ {
		quota := -1
		if cut < w.cuts {
			quota = rand.IntN(60)
		}
		done, err := w.connect(ctx, quota)
		if err != nil || done {
			return err
		}
	}
}

// connect reads at most quota messages over one connection; a negative quota has no end.
func (w *watcher) connect(ctx context.Context, quota int) (done bool, err error) {
	query := w.query
	if w.after != "" {
		query += "&after=" + w.after
	}
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(w.h.url, "http")+"/ws?"+query, nil)
	if err != nil {
		return false, err
	}
	defer conn.CloseNow() // no goodbye: what was under way is lost
	for ; quota != 0; quota-- {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			return false, err
		}
		var m message
		if err := json.Unmarshal(raw, &m); err != nil {
			return false, err
		}
		w.seen = append(w.seen, string(raw))
		if w.after = m.Cursor; w.bySeq {
			w.after = fmt.Sprint(m.Seq)
		}
		if m.Type == "done" {
			return true, nil
		}
	}
	return false, nil
}

// TestTwentyClientsSeeEveryEventOnce is the promise of the relay: while a job writes 1,000 events, 20 clients at
// random positions, half of them cut and reconnected, each see the table's record from their position on.
func TestTwentyClientsSeeEveryEventOnce(t *testing.T) {
	h := newHouse(t)
	c := storetest.Claimed(t, h.store)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()

	var all sync.WaitGroup
	failed := make(chan error, 20)
	watchers, starts := make([]*watcher, 20), make([]int64, 20)
	join := func(i int, from job.Event) {
		w := &watcher{h: h, query: "userId=ann", after: from.Cursor, bySeq: i%2 == 0, cuts: 8 * (i / 2 % 2)}
		if w.bySeq {
			w.query, w.after = "userId=ann&jobId="+c.Job.ID, fmt.Sprint(from.Seq)
		}
		watchers[i], starts[i] = w, from.Seq
		all.Go(func() { failed <- w.follow(ctx) })
	}
	after := c.Job.LastSeq
	for i := 0; after < 1000; {
		for ; i < 20 && int64(i)*50 <= after; i++ { // one more client at each 5 % of the way
			past, err := h.store.Events(ctx, storetest.Ann, c.Job.ID, rand.Int64N(after), 1)
			if err != nil {
				t.Fatal(err)
			}
			join(i, past[0])
		}
		after = h.write(c, after, 1+rand.IntN(19))
	}
	if err := h.store.Finish(t.Context(), c.Attempt, storetest.Answer("4"), after); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
	table := storetest.Events(t, h.store, c.Job.ID)
	for i, w := range watchers {
		want := table[starts[i]:] // seq starts at 1
		if len(w.seen) != len(want) {
			t.Errorf("client %d saw %d events after %d, want %d", i, len(w.seen), starts[i], len(want))
			continue
		}
		for k, e := range want {
			if raw, _ := json.Marshal(e); w.seen[k] != string(raw) {
				t.Fatalf("client %d: message %d is %s, want %s", i, k, w.seen[k], raw)
			}
		}
	}
}
