package e2e

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/pgtest"
)

var (
	outage   = flag.Duration("outage", 8*time.Second, "how long Postgres is gone while prompts run: longer than a lease")
	manyHeld = flag.Int("held", 4, "how many prompts run while Postgres is gone; each is a claude command, of some 200 MB")
)

// TestPostgresIsGoneWhilePromptsRun: the prompts go on in their sandboxes, requests are refused in words and nothing else, and
// when it is back everything ends as if nothing had been: asked once, no try, no second attempt.
func TestPostgresIsGoneWhilePromptsRun(t *testing.T) {
	server := pgtest.New(t)
	database := server.Database(t)
	migrated(t, database)
	model := scripted.New(t)
	asked, answer := make(chan struct{}, 2**manyHeld), make(chan struct{})
	model.Handle(func(scripted.Request) scripted.Answer {
		asked <- struct{}{}
		<-answer
		return scripted.Text("4")
	})
	h := openWith(t, model, append(usual(t, model), "DATABASE_URL="+database, fmt.Sprint("SANDPIPER_CONCURRENCY=", *manyHeld)), quick)
	var ids []string
	for i := range *manyHeld {
		ids = append(ids, h.submit(t, client.Submit{UserID: fmt.Sprintf("user%d", i), Input: "What is 2+2?"}))
	}
	for range *manyHeld {
		<-asked
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	close(answer) // the answers come while nobody can write them down
	refused(t, h)
	<-time.After(*outage)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		j := h.ended(t, id)
		if j.State != client.Succeeded || j.Attempt != 1 || j.Tries != 0 || j.Result == nil || j.Result.Text != "4" {
			t.Errorf("job %d = %s %+v, attempt %d, tries %d", i, j.State, j.Error, j.Attempt, j.Tries)
		}
		for n, e := range h.events(t, id) {
			if e.Seq != int64(n+1) {
				t.Errorf("job %d: event %d has seq %d", i, n, e.Seq)
			}
		}
	}
	if n := len(model.Requests()); n != *manyHeld {
		t.Errorf("the model was asked %d times, want %d", n, *manyHeld)
	}
}

// TestADatabaseThatIsFullIsSaid: the server answers each insert of a job as it does on a disk without room. Nothing is accepted, and with
// room again the same request is.
func TestADatabaseThatIsFullIsSaid(t *testing.T) {
	database := pgtest.URL(t)
	model := scripted.New(t)
	h := openWith(t, model, append(usual(t, model), "DATABASE_URL="+database, "SANDPIPER_EXECUTOR=noop"))
	kept := h.submit(t, client.Submit{Input: "before"})
	full := `CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
		CREATE TRIGGER no_room BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION no_room()`
	if err := pgtest.Exec(t.Context(), database, full); err != nil {
		t.Fatal(err)
	}
	ask := client.Submit{UserID: "user123", Input: "hi", IdempotencyKey: "once"}
	_, err := h.api.Submit(t.Context(), ask)
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != http.StatusInsufficientStorage || p.Code != "DATABASE_FULL" {
		t.Errorf("a submit is answered with %v, want 507 DATABASE_FULL", err)
	}
	if j := h.ended(t, kept); j.State != client.Succeeded {
		t.Errorf("what was kept before: %s %+v", j.State, j.Error)
	}
	if err := pgtest.Exec(t.Context(), database, `DROP TRIGGER no_room ON jobs`); err != nil {
		t.Fatal(err)
	}
	id, err := h.api.Submit(t.Context(), ask)
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if j := h.ended(t, id); j.State != client.Succeeded {
		t.Errorf("job = %s %+v", j.State, j.Error)
	}
	page, err := h.api.Jobs(t.Context(), client.JobsQuery{UserID: "user123"})
	if err != nil || len(page.Items) != 2 {
		t.Errorf("%d jobs, %v; want the two that were accepted", len(page.Items), err)
	}
}

// refused checks what a caller is told while the database is gone.
func refused(t *testing.T, h *house) {
	t.Helper()
	_, err := h.api.Submit(t.Context(), client.Submit{UserID: "user123", Input: "hi"})
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || p.Code != "DATABASE_AWAY" {
		t.Errorf("a submit is answered with %v, want 503 DATABASE_AWAY", err)
	}
	eventually(t, "/readyz says so", func() bool { status, _ := page(t, h.url+"/readyz"); return status == http.StatusServiceUnavailable })
}
