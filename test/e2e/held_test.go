package e2e

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/redistest"
)

// mostTasks is what Redis holds of a batch, however many lines it has.
const mostTasks = 500

// TestABatchHoldsUpNobody: a batch has every slot that bulk jobs may have, with prompts that go on and on, and the rest of it
// waits. What another person asks begins at once all the same, and Redis holds few of those that wait. -lines 100000 makes
// it a measurement, and -goals a demand.
func TestABatchHoldsUpNobody(t *testing.T) {
	model, redis := scripted.New(t), redistest.Start(t)
	wake := make(chan struct{})
	wakeAll := sync.OnceFunc(func() { close(wake) })
	t.Cleanup(wakeAll)
	f := newFleetOn(t, pgtest.New(t).Copy(t, "prepared", migrate), redis, model, append(usual(t, model), "LOG_LEVEL=warn"))
	f.vars = append(f.vars, "SANDPIPER_CONCURRENCY=32", "DAYTONA_API_URL="+openInn(t, wake).URL+"/api")
	f.addAPI(t)
	for range 3 {
		f.addWorker(t)
	}
	f.ready(t)
	b, err := f.api.SubmitBatch(t.Context(), client.SubmitBatch{UserID: "ann", Lines: manyLines(*batchLines)})
	if err != nil {
		t.Fatal(err)
	}
	f.until(t, b.BatchID, 0)
	const running = `SELECT COUNT(*)::text FROM runs WHERE phase = 'launched'`
	const bulk = 3 * (32 - 32/8)
	eventually(t, "every bulk slot has a prompt", func() bool { return f.sql(t, running) == strconv.Itoa(bulk) })

	asked, most := f.asksNowAndThen(t, lightly), 0
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for range 10 + *batchLines/200 {
		<-look.C
		most = max(most, tasks(t, redis))
	}
	waits := asked()
	t.Logf("%d slots with bulk jobs, %d of which wait: another person's prompts: %v; Redis held %d tasks at most",
		bulk, *batchLines-bulk, waits, most)
	if held := f.sql(t, running); held != strconv.Itoa(bulk) {
		t.Errorf("%s prompts run, want the %d that had every bulk slot all the time", held, bulk)
	}
	if most > mostTasks || most == 0 {
		t.Errorf("%d tasks in Redis, want some and %d at most", most, mostTasks)
	}
	if *batchGoals && waits.most() > mostDelay {
		t.Errorf("one began after %v, want %v at most", waits.most(), mostDelay)
	}

	if _, err := f.api.CancelBatch(t.Context(), b.BatchID); err != nil {
		t.Fatal(err)
	}
	wakeAll()
}

// tasks are how many tasks Redis holds, of whatever kind.
func tasks(t testing.TB, server *redistest.Server) (n int) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer c.Close()
	for it := c.Scan(context.Background(), 0, "asynq:{*}:t:*", 1000).Iterator(); it.Next(t.Context()); {
		n++
	}
	return n
}
