package e2e

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/boot"
	"sandpiper/internal/config"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/redistest"
	"sandpiper/internal/store"
)

// daytonaKey is the key of every local Daytona that is a process of its own.
const daytonaKey = "dtn_e2e_0123456789abcdef"

// fleet is a house of many processes on a real Postgres and a real Redis.
type fleet struct {
	house
	data    string
	vars    []string // of every process
	daytona *member
	apis    []*member
	workers []*member
	begun   time.Time // when all of it was ready
}

// openFleet starts two apis, three workers and a local Daytona, and waits until all of them are at work. The house's client
// speaks to the second api, its URL is the first one's: what one takes, the other shows.
func openFleet(t testing.TB, model *scripted.Server, vars []string, habits ...habit) *fleet {
	t.Helper()
	f := newFleet(t, model, vars, habits...)
	for range 2 {
		f.addAPI(t)
	}
	for range 3 {
		f.addWorker(t)
	}
	f.ready(t)
	return f
}

// newFleet prepares a fleet of no process but the local Daytona, on a database whose schema is up to date.
func newFleet(t testing.TB, model *scripted.Server, vars []string, habits ...habit) *fleet {
	t.Helper()
	return newFleetOn(t, pgtest.Shared(t).Copy(t, "prepared", migrate), redistest.Start(t), model, vars, habits...)
}

// newFleetOn is newFleet, on servers of the caller's own.
func newFleetOn(t testing.TB, database string, redis *redistest.Server, model *scripted.Server, vars []string, habits ...habit) *fleet {
	t.Helper()
	f := &fleet{house: house{database: database}, data: last(vars, "SANDPIPER_DATA")}
	f.model, f.log = model, &logBuffer{}
	f.stop = sync.OnceValue(func() error { return f.end(t) })
	t.Cleanup(func() {
		if err := f.stop(); err != nil {
			t.Errorf("close the house: %v", err)
		}
		if _, err := boot.Stop(context.WithoutCancel(t.Context()), f.data); err != nil {
			t.Errorf("stop what is left: %v", err)
		}
		if t.Failed() {
			t.Logf("the log of the house:\n%s", tail(f.log.String(), 20_000))
		}
	})
	base := []string{
		"DATABASE_URL=" + f.database, "REDIS_URL=" + redis.URL(), "DAYTONA_API_KEY=" + daytonaKey, habitsVar + "=" + named(habits),
	}
	f.startDaytona(t, vars, "127.0.0.1:0")
	f.vars = append(append(base, "DAYTONA_API_URL="+f.daytona.where(t)), vars...)
	return f
}

func (f *fleet) startDaytona(t testing.TB, vars []string, at string) {
	t.Helper()
	f.daytona = start(t, config.RoleDaytona, f.log, append(slices.Clone(vars), "DAYTONA_API_KEY="+daytonaKey, "SANDPIPER_DAYTONA_ADDR="+at))
}

// migrated brings a database's schema up to date.
func migrated(t testing.TB, database string) {
	t.Helper()
	if err := migrate(database); err != nil {
		t.Fatal(err)
	}
}

func migrate(database string) error {
	_, _, err := store.Migrate(context.Background(), database, slog.New(slog.DiscardHandler))
	return err
}

// named are the names of habits, as a process reads them.
func named(habits []habit) string {
	var names []string
	for _, h := range habits {
		names = append(names, string(h))
	}
	return strings.Join(names, ",")
}

// last is the value of a variable, as a process would see it.
func last(vars []string, name string) (value string) {
	for _, v := range vars {
		if after, ok := strings.CutPrefix(v, name+"="); ok {
			value = after
		}
	}
	return value
}

// addAPI starts an api. It is given no key of the model, nor of the platform.
func (f *fleet) addAPI(t testing.TB) *member {
	t.Helper()
	m := start(t, config.RoleAPI, f.log, append(slices.Clone(f.vars), "ANTHROPIC_API_KEY=", "DAYTONA_API_KEY=", "DAYTONA_API_URL="))
	f.apis = append(f.apis, m)
	return m
}

// addWorker starts a worker. What it logs is in the house's log, and in its own.
func (f *fleet) addWorker(t testing.TB) *member {
	t.Helper()
	m := start(t, config.RoleWorker, &logBuffer{also: f.log}, f.vars)
	f.workers = append(f.workers, m)
	return m
}

// ready waits until every process has found the database. What else is away may be what a test is about.
func (f *fleet) ready(t testing.TB) {
	t.Helper()
	for _, m := range slices.Concat(f.apis, f.workers) {
		m.where(t)
		eventually(t, "the database is reached by "+m.url, func() bool {
			_, body := page(t, m.url+"/readyz")
			return strings.Contains(body, `"database":"ok"`)
		})
	}
	f.begun, f.processes = time.Now(), len(f.apis)+len(f.workers)
	f.url = f.apis[0].url
	f.api = client.New(f.apis[len(f.apis)-1].url, client.Options{})
}

// page is a page of any process.
func page(t testing.TB, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(raw))
}

// end asks every process to stop, all at once, and the local Daytona after them.
func (f *fleet) end(t testing.TB) (err error) {
	members := slices.Concat(f.apis, f.workers)
	for _, m := range members {
		if m.cmd.ProcessState == nil {
			err = errors.Join(err, m.cmd.Process.Signal(syscall.SIGTERM))
		}
	}
	for _, m := range members {
		if m.cmd.ProcessState == nil {
			m.ends(t, 0)
		}
	}
	f.daytona.terminate(t)
	return err
}
