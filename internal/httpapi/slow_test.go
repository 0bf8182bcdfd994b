package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// clocked follows a user's events and notes how late each one of a job comes: from just before its commit until it
// is read.
type clocked struct {
	h     *house
	user  string
	began *sync.Map // :: job id and seq → when the commit began
	late  []time.Duration
}

type moment struct {
	jobID string
	seq   int64
}

// follow reads until it has seen the job's last event.
func (c *clocked) follow(ctx context.Context, conn *websocket.Conn, jobID string, last int64) error {
	for {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(raw, &m); err != nil {
			return err
		}
		if at, timed := c.began.Load(moment{m.JobID, m.Seq}); timed && m.JobID == jobID {
			c.late = append(c.late, time.Since(at.(time.Time)))
		}
		if m.JobID == jobID && m.Seq == last {
			return nil
		}
	}
}

// TestOneWhoDoesNotReadHoldsUpNobody gives a user a socket and an event stream that are never read, and far more
// events than fit between: others, of the same user and of another, get theirs at once. What is stuck may stay so for
// a minute here, so that whoever waited for it would be as late.
func TestOneWhoDoesNotReadHoldsUpNobody(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.WriteWait, o.Drain = time.Minute, time.Second })
	anns := storetest.Claimed(t, h.store)
	bobs := storetest.Claimed(t, h.store, func(j *job.Job) { j.UserID = "bob" })
	full := h.writeBig(anns, anns.Job.LastSeq, 200) // what is stuck never gets beyond this
	h.rawSocket("/ws?userId=ann&jobId=" + anns.Job.ID + "&after=0")
	h.raw("GET /api/jobs/" + anns.Job.ID + "/events HTTP/1.1\r\nAccept: text/event-stream\r\n")

	const events = 1000
	var began sync.Map
	readers := []*clocked{{h: h, user: "ann", began: &began}, {h: h, user: "bob", began: &began}}
	ctx, stop := context.WithTimeout(t.Context(), 4*time.Minute)
	defer stop()
	var all sync.WaitGroup
	write := func(c store.Claimed, last int64) {
		for range events {
			began.Store(moment{c.Job.ID, last + 1}, time.Now())
			last = h.write(c, last, 1)
		}
	}
	failed := make(chan error, len(readers))
	for i, of := range []struct {
		claim store.Claimed
		last  int64
	}{{anns, full}, {bobs, bobs.Job.LastSeq}} {
		conn := h.dial("?userId=" + readers[i].user)
		all.Go(func() { failed <- readers[i].follow(ctx, conn, of.claim.Job.ID, of.last+events) })
		all.Go(func() { write(of.claim, of.last) })
	}
	all.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range readers {
		slices.Sort(r.late)
		if len(r.late) != events {
			t.Fatalf("%s saw %d events, want %d", r.user, len(r.late), events)
		}
		p50, p99 := r.late[events/2], r.late[events*99/100]
		t.Logf("%s: commit to read p50 %v, p99 %v, longest %v", r.user, p50, p99, r.late[events-1])
		if p50 > time.Second || p99 > 5*time.Second { // no promise of speed: this machine may be busy
			t.Errorf("%s waits p50 %v, p99 %v", r.user, p50, p99)
		}
	}
	if a := h.get("/api/jobs/" + anns.Job.ID); a.status != http.StatusOK || !strings.Contains(string(a.body), `"lastSeq":`+itoa(full+events)) {
		t.Errorf("%d %s", a.status, a.body)
	}
	stopped := time.Now()
	if err := h.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(stopped); took > 20*time.Second {
		t.Errorf("those who do not read held up the end for %v", took)
	}
}
