package e2e

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/redistest"
)

// TestEverythingIsGoneAtOnce: Postgres, Redis and the sandbox platform die under running prompts, together and for longer
// than a lease. Half of the prompts are answered meanwhile, half afterwards. Each is asked once, and ends once.
func TestEverythingIsGoneAtOnce(t *testing.T) {
	const prompts = 4
	server, redis, model := pgtest.New(t), redistest.Start(t), scripted.New(t)
	asked, meanwhile, afterwards := make(chan struct{}, 100), make(chan struct{}), make(chan struct{})
	model.Handle(func(r scripted.Request) scripted.Answer {
		asked <- struct{}{}
		if r.Prompt() == "meanwhile" {
			return scripted.Held(meanwhile, scripted.Text("4"))
		}
		return scripted.Held(afterwards, scripted.Text("4"))
	})
	vars, database := usual(t, model), server.Database(t)
	migrated(t, database)
	f := newFleetOn(t, database, redis, model, vars, quick)
	f.addAPI(t)
	f.addWorker(t)
	f.addWorker(t)
	f.ready(t)
	var ids []string
	for i := range prompts {
		ids = append(ids, f.submit(t, client.Submit{UserID: fmt.Sprint("user", i), Input: [2]string{"meanwhile", "afterwards"}[i%2]}))
	}
	for range prompts {
		<-asked
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	redis.Stop(t)
	platform := f.daytona.where(t)
	f.daytona.kill(t)
	close(meanwhile)
	refused(t, &f.house)
	<-time.After(*outage)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	redis.Restart(t)
	at, err := url.Parse(platform)
	if err != nil {
		t.Fatal(err)
	}
	f.startDaytona(t, vars, at.Host)
	f.daytona.where(t)
	close(afterwards)
	for i, id := range ids {
		j := f.ended(t, id)
		if j.State != client.Succeeded || j.Tries != 0 || j.Result == nil || j.Result.Text != "4" {
			t.Errorf("job %d = %s %+v, attempt %d, tries %d", i, j.State, j.Error, j.Attempt, j.Tries)
		}
		done := 0
		for n, e := range f.events(t, id) {
			if e.Seq != int64(n+1) {
				t.Errorf("job %d: event %d has seq %d", i, n, e.Seq)
			}
			if e.Type == client.EventDone {
				done++
			}
		}
		if done != 1 {
			t.Errorf("job %d ends %d times", i, done)
		}
	}
	if n := len(model.Requests()); n != prompts {
		t.Errorf("the model was asked %d times, want %d", n, prompts)
	}
	f.nothingRuns(t)
	if j := f.ask(t, client.Submit{Input: "afterwards"}); j.State != client.Succeeded {
		t.Errorf("a job after all of it: %s %+v", j.State, j.Error)
	}
}
