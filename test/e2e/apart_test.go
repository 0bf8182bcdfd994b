package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sandpiper/client"
	"sandpiper/internal/config"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/redistest"
)

// usualFleet is a fleet as most tests want it.
func usualFleet(t testing.TB) *fleet {
	t.Helper()
	model := scripted.New(t)
	return openFleet(t, model, usual(t, model))
}

// sql asks the house's Postgres one question.
func (h *house) sql(t testing.TB, query string, args ...any) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), h.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	err = conn.QueryRow(t.Context(), query, args...).Scan(&answer)
	if err != nil && err != pgx.ErrNoRows { //nolint:errorlint // as documented
		t.Fatal(err)
	}
	return answer
}

// name is what a worker calls itself.
func (m *member) name(t testing.TB) (name string) {
	t.Helper()
	eventually(t, "a worker says its name", func() bool {
		for line := range strings.Lines(m.log.String()) {
			var at struct{ Msg, Worker string }
			if json.Unmarshal([]byte(line), &at) == nil && at.Msg == "the worker is at work" {
				name = at.Worker
			}
		}
		return name != ""
	})
	return name
}

// called is the worker of that name.
func (f *fleet) called(t testing.TB, name string) *member {
	t.Helper()
	for _, m := range f.workers {
		if m.name(t) == name {
			return m
		}
	}
	t.Fatalf("no worker is called %q", name)
	return nil
}

// TestEventsOfOneAPIAreSeenOnAnother: a socket on the first api shows every event of a job that the second one took, from
// the first to the last, whichever worker runs it.
func TestEventsOfOneAPIAreSeenOnAnother(t *testing.T) {
	f := usualFleet(t)
	if f.url == f.apis[1].url {
		t.Fatal("the house's client and its sockets are on one api")
	}
	for i := range 3 {
		id, events := f.watched(t, client.Submit{Input: fmt.Sprintf("What is 2+%d?", i)})
		if j := f.ended(t, id); j.State != client.Succeeded || events != len(f.events(t, id)) {
			t.Errorf("job = %s %+v; %d events on the socket, %d in all", j.State, j.Error, events, len(f.events(t, id)))
		}
	}
}

// running submits a prompt whose answer is held, and gives the worker that runs it.
func (f *fleet) running(t testing.TB) (id string, worker *member, release func()) {
	t.Helper()
	held := make(chan struct{})
	f.model.Handle(func(scripted.Request) scripted.Answer { return scripted.Held(held, scripted.Text("4")) })
	id = f.submit(t, client.Submit{Input: "What is 2+2?"})
	if err := f.model.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return id, f.called(t, f.sql(t, `SELECT worker FROM leases WHERE job_id = $1`, id)), func() { close(held) }
}

// wantOnce checks that a job was answered by its second attempt, and its prompt paid once.
func (f *fleet) wantOnce(t testing.TB, id string) {
	t.Helper()
	j := f.ended(t, id)
	if j.State != "succeeded" || j.Result.Text != "4" || j.Attempt != 2 || j.Tries != 0 {
		t.Errorf("job = %s %+v, attempt %d, tries %d; want the answer by attempt 2 without a try", j.State, j.Result, j.Attempt, j.Tries)
	}
	if n := len(f.model.Requests()); n != 1 {
		t.Errorf("the model was asked %d times", n)
	}
	for i, e := range f.events(t, id) {
		if e.Seq != int64(i+1) {
			t.Errorf("seq %d at place %d", e.Seq, i+1)
		}
	}
}

func TestAWorkerIsKilledInMidJob(t *testing.T) {
	f := usualFleet(t)
	id, worker, release := f.running(t)
	began := time.Now()
	worker.kill(t)
	eventually(t, "another worker has taken the job over", func() bool {
		return f.sql(t, `SELECT attempt::text FROM jobs WHERE id = $1`, id) == "2"
	})
	t.Logf("kill -9 to taken over: %v", time.Since(began).Round(10*time.Millisecond))
	release()
	f.wantOnce(t, id)
}

// TestAStoppedWorkerHandsOver: SIGTERM ends a worker at once, and another follows its prompt without waiting for the lease.
func TestAStoppedWorkerHandsOver(t *testing.T) {
	f := usualFleet(t)
	id, worker, release := f.running(t)
	eventually(t, "every worker has been in touch for a lease, and may take over", func() bool { return time.Since(f.begun) > 6*time.Second })
	began := time.Now()
	if err := worker.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another worker has taken the job over", func() bool {
		return f.sql(t, `SELECT attempt::text FROM jobs WHERE id = $1`, id) == "2"
	})
	took := time.Since(began)
	if took > 3*time.Second { // a lease holds for 5 s and was renewed at most one ago
		t.Errorf("taken over after %v: its lease lapsed instead of being handed over", took)
	}
	worker.ends(t, 0)
	t.Logf("SIGTERM to taken over: %v, to exit: %v", took.Round(10*time.Millisecond), time.Since(began).Round(10*time.Millisecond))
	release()
	f.wantOnce(t, id)
}

// TestTurnsMove: the sweeper's turn is one worker's; when that is killed, another has it within 10 s.
func TestTurnsMove(t *testing.T) {
	model := scripted.New(t)
	f := newFleet(t, model, usual(t, model))
	f.addAPI(t)
	f.addWorker(t)
	f.addWorker(t)
	f.ready(t)
	holder := func() string { return f.sql(t, `SELECT holder FROM turns WHERE name = 'sweeper'`) }
	eventually(t, "the turn is held", func() bool { return holder() != "" })
	first := holder()
	began := time.Now()
	f.called(t, first).kill(t)
	eventually(t, "the turn has moved", func() bool { return holder() != first })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the turn moved after %v", took)
	} else {
		t.Logf("kill -9 to the next holder: %v", took.Round(10*time.Millisecond))
	}
	f.called(t, holder()) // it is the other one
}

// TestASandboxIsCreatedThroughAWorker: the api, which has no key and reaches no Daytona, adds a row; it waits until a worker
// comes and has made it.
func TestASandboxIsCreatedThroughAWorker(t *testing.T) {
	model := scripted.New(t)
	f := newFleet(t, model, usual(t, model))
	api := start(t, config.RoleAPI, f.log, append(f.vars, "DAYTONA_API_URL=http://127.0.0.1:1/api", "ANTHROPIC_API_KEY="))
	f.apis = append(f.apis, api)
	f.ready(t)
	made := make(chan client.Sandbox, 1)
	failed := make(chan error, 1)
	go func() {
		sb, err := f.api.CreateSandbox(t.Context(), "user123")
		made <- sb
		failed <- err
	}()
	eventually(t, "the row is there", func() bool { return f.sql(t, `SELECT state FROM sandboxes`) == "creating" })
	f.addWorker(t)
	if sb, err := <-made, <-failed; err != nil || sb.Status != "ready" {
		t.Fatalf("sandbox = %+v, %v", sb, err)
	}
	f.ready(t)
	sb := f.sql(t, `SELECT id FROM sandboxes WHERE fingerprint <> ''`)
	if j := f.ask(t, client.Submit{Input: "What is 2+2?"}); j.State != "succeeded" || j.SandboxID != sb {
		t.Errorf("job = %s %+v in %s, want it answered in %s, which is pooled", j.State, j.Error, j.SandboxID, sb)
	}
}

// TestAnUpBesideAnother: on a Postgres up migrates, and voids nobody's lease at its start, for others may live.
func TestAnUpBesideAnother(t *testing.T) {
	database, model := "DATABASE_URL="+pgtest.URL(t), scripted.New(t)
	held := make(chan struct{})
	model.Handle(func(scripted.Request) scripted.Answer { return scripted.Held(held, scripted.Text("4")) })
	first := openWith(t, model, append(usual(t, model), database))
	id := first.submit(t, client.Submit{Input: "What is 2+2?"})
	if err := model.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	second := openWith(t, model, append(usual(t, model), database))
	other := second.submit(t, client.Submit{UserID: "somebody", Input: "What is 3+3?"})
	close(held)
	if j := second.ended(t, id); j.State != "succeeded" || j.Attempt != 1 {
		t.Errorf("job = %s %+v by attempt %d, want it answered by the first", j.State, j.Error, j.Attempt)
	}
	if j := first.ended(t, other); j.State != "succeeded" {
		t.Errorf("the other's job = %s %+v", j.State, j.Error)
	}
}

// TestReadinessOfAFleet: api and worker listen at once and wait for what is away: SQL, Redis, Daytona and the model come one
// after another.
func TestReadinessOfAFleet(t *testing.T) {
	server, redis, model := pgtest.New(t), redistest.Start(t), scripted.New(t)
	database := server.Database(t)
	f := &fleet{house: house{database: database}}
	migrated(t, database)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	redis.Stop(t)
	f.model, f.log = model, &logBuffer{}
	f.vars = append(usual(t, model),
		"DATABASE_URL="+database, "REDIS_URL="+redis.URL(), "DAYTONA_API_URL=http://127.0.0.1:1/api", "DAYTONA_API_KEY=dtn_hush",
		"ANTHROPIC_BASE_URL=http://127.0.0.1:1")
	api, worker := f.addAPI(t), f.addWorker(t)
	for _, m := range []*member{api, worker} {
		if status, _ := page(t, m.where(t)+"/healthz"); status != http.StatusOK {
			t.Errorf("healthz = %d", status)
		}
		if status, body := page(t, m.url+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"database":"away`) {
			t.Errorf("without a database: %d %s", status, body)
		}
	}
	if status, body := page(t, api.url+"/api/jobs?userId=user123"); status != http.StatusServiceUnavailable || !strings.Contains(body, "DATABASE_AWAY") {
		t.Errorf("a request without a database: %d %s", status, body)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an api needs SQL only, and is degraded", func() bool {
		status, body := page(t, api.url+"/readyz")
		return status == http.StatusOK && strings.Contains(body, `"status":"degraded"`) && strings.Contains(body, `"redis":"away`)
	})
	if status, _ := page(t, api.url+"/api/jobs?userId=user123"); status != http.StatusOK {
		t.Errorf("a request: %d", status)
	}
	eventually(t, "a worker names what else is away", func() bool {
		status, body := page(t, worker.url+"/readyz")
		named := strings.Contains(body, `"database":"ok"`)
		for _, what := range []string{"redis", "sandboxes", "model"} {
			named = named && strings.Contains(body, `"`+what+`":"away`)
		}
		return status == http.StatusServiceUnavailable && named
	})
	redis.Restart(t)
	for m, want := range map[*member]string{api: `"status":"ok"`, worker: `"redis":"ok"`} {
		eventually(t, "redis is back", func() bool { _, body := page(t, m.url+"/readyz"); return strings.Contains(body, want) })
	}
	if strings.Contains(f.log.String(), "dtn_hush") || strings.Contains(f.log.String(), key) {
		t.Error("the log shows a key")
	}
	api.terminate(t)
	worker.terminate(t)
}

// TestAnOlderSchemaEndsTheStart, and the command is named.
func TestAnOlderSchemaEndsTheStart(t *testing.T) {
	for _, role := range []config.Role{config.RoleAPI, config.RoleWorker} {
		t.Run(string(role), func(t *testing.T) {
			m := start(t, role, &logBuffer{}, append(outfit(t), "DATABASE_URL="+pgtest.URL(t)))
			out, _ := io.ReadAll(m.out)
			m.ends(t, 1)
			if !strings.Contains(m.log.String(), "sandpiper migrate up") {
				t.Errorf("it printed %q and logged\n%s", out, m.log)
			}
		})
	}
}

// TestANewerSchema: any number of steps is fine, since they add; one whose floor is above what the program knows is not.
func TestANewerSchema(t *testing.T) {
	database := pgtest.URL(t)
	migrated(t, database)
	f := &fleet{house: house{database: database}}
	f.log = &logBuffer{}
	for range 2 {
		f.sql(t, `INSERT INTO goose_db_version (version_id, is_applied) SELECT max(version_id) + 1, true FROM goose_db_version RETURNING ''`)
	}
	api := start(t, config.RoleAPI, f.log, append(outfit(t), "DATABASE_URL="+database))
	eventually(t, "an api beside a newer one", func() bool { status, _ := page(t, api.where(t)+"/readyz"); return status == http.StatusOK })
	api.terminate(t)
	f.sql(t, `INSERT INTO settings (name, value) SELECT 'schema_floor', max(version_id) FROM goose_db_version RETURNING ''`)
	api = start(t, config.RoleAPI, f.log, append(outfit(t), "DATABASE_URL="+database))
	_, _ = io.ReadAll(api.out)
	api.ends(t, 1)
	if !strings.Contains(f.log.String(), "start a newer version") {
		t.Errorf("it logged\n%s", f.log)
	}
}

// outfit is what a separate process must have, besides its database.
func outfit(t testing.TB) []string {
	return []string{
		"SANDPIPER_DATA=" + t.TempDir(), "REDIS_URL=redis://127.0.0.1:1", "DAYTONA_API_KEY=dtn_x", "DAYTONA_API_URL=http://127.0.0.1:1/api",
		"ANTHROPIC_API_KEY=" + key, "ANTHROPIC_BASE_URL=http://127.0.0.1:1",
	}
}

// TestEveryTestThatIsLeftOutIsThere: a name without a test would leave another one out, or none.
func TestEveryTestThatIsLeftOutIsThere(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				there[f.Name.Name] = true
			}
		}
	}
	for _, name := range apart {
		if !there[name] {
			t.Errorf("%s opens a fleet, and is not there", name)
		}
	}
	for estate, left := range map[string]map[string]string{"fleet": embeddedOnly, "composition": notComposed} {
		for name, reason := range left {
			if !there[name] || reason == "" {
				t.Errorf("%s is left out of a %s: there %v, because %q", name, estate, there[name], reason)
			}
		}
	}
}
