package fleet

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/bus"
	"sandpiper/internal/daytona"
	"sandpiper/internal/dispatch"
	"sandpiper/internal/job"
	"sandpiper/internal/localdaytona"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/pool"
	"sandpiper/internal/queue"
	"sandpiper/internal/queue/redisurl"
	"sandpiper/internal/redistest"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
	"sandpiper/internal/worker"
)

// ann submits every job here.
var ann = auth.User("ann")

// fleet is what the workers of a test share.
type fleet struct {
	t     testing.TB
	sql   string       // URL of the database
	store *store.Store // the test's own
	redis *redistest.Server
	queue *queue.Queue
	jobs  *dispatch.Dispatcher
	stand *stand // the command; nil without sandboxes
	web   *httptest.Server
	harm  func(*member) // takes a protection away from every worker; nil: none
}

// newFleet is a fleet without sandboxes and without workers.
func newFleet(t testing.TB) *fleet {
	t.Helper()
	sql := pgtest.Shared(t).Copy(t, "prepared", func(url string) error {
		_, _, err := store.Migrate(context.Background(), url, silent)
		return err
	})
	f := &fleet{t: t, sql: sql, redis: redistest.Start(t)}
	f.store = storetest.Open(t, f.sql)
	f.queue = f.openQueue()
	f.jobs = dispatch.New(f.store, f.queue, dispatch.Options{Log: silent})
	return f
}

var silent = slog.New(slog.DiscardHandler)

// platformKey opens the local Daytona.
const platformKey = "dtn_fleet_0123456789"

// newHouse is a fleet with a platform whose sandboxes have the stand-in for a command.
func newHouse(t testing.TB) *fleet {
	t.Helper()
	f := newFleet(t)
	f.stand = newStand(t)
	server, err := localdaytona.New(localdaytona.Options{
		Dir: t.TempDir(), Key: platformKey, Claude: f.stand.command(t), Log: silent, Daemon: os.Getenv("TEST_DAEMON"),
		Workspace: []localdaytona.WorkspaceEntry{{Path: "workspace", Dir: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.web = httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		if err := server.StopAll(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		f.web.Close()
	})
	return f
}

func (f *fleet) openQueue() *queue.Queue {
	f.t.Helper()
	q, err := queue.Open(f.redis.URL(), queue.Options{Log: silent})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { q.Close() })
	return q
}

// submit hands a job in, as the API does.
func (f *fleet) submit(change ...func(*job.Spec)) string {
	f.t.Helper()
	spec := job.Spec{Input: "What is 2+2?"}
	for _, c := range change {
		c(&spec)
	}
	j, _, err := f.jobs.Submit(f.t.Context(), ann, spec, store.Key{})
	if err != nil {
		f.t.Fatal(err)
	}
	return j.ID
}

func (f *fleet) read(id string) job.Job { return storetest.Read(f.t, f.store, id) }

// until waits for a row.
func (f *fleet) until(what string, so func() bool) {
	f.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(90 * time.Second); !so(); <-tick.C {
		if time.Now().After(limit) {
			f.t.Fatalf("never came: %s", what)
		}
	}
}

// ended waits for the end of a job.
func (f *fleet) ended(id string) (j job.Job) {
	f.t.Helper()
	f.until("the end of "+id, func() bool { j = f.read(id); return j.State.Terminal() })
	return j
}

// member is a worker of the fleet.
type member struct {
	f    *fleet
	name string
	*worker.Worker
	ice  *ice // freezes it, as SIGSTOP does
	rows func(frozen) rows
	stop func() time.Duration
}

// rows are the store as a worker sees it.
type rows interface {
	Claim(ctx context.Context, q store.Claim) (store.Claimed, error)
	Beat(ctx context.Context, worker string, held []job.Attempt, lease time.Duration) (store.Beat, error)
	HandOver(ctx context.Context, worker string) (int, error)
	Append(ctx context.Context, a job.Attempt, b store.Batch) (int64, error)
	Intend(ctx context.Context, a job.Attempt, r job.Run, events ...job.Event) error
	Left(ctx context.Context, runID string) (time.Duration, error)
	MarkLaunched(ctx context.Context, a job.Attempt, runID string) error
	Requeue(ctx context.Context, a job.Attempt, afterSeq int64, q store.Requeue) error
	GiveWay(ctx context.Context) (leaving bool, reaped int, err error)
	Finish(ctx context.Context, a job.Attempt, o job.Outcome, afterSeq int64) error
	LaneTrouble(ctx context.Context, a job.Attempt, id job.LaneID, tr job.Trouble) (job.Lane, error)
	LaneAnswered(ctx context.Context, a job.Attempt, id job.LaneID) error
}

// habits are what a member is told.
type habits struct {
	worker.Options
	boxes  boxes // nil: those of the fleet's platform
	trust  bool  // it has been in touch with the database for long
	noHint bool  // it takes no hints: it only takes over
}

// boxes is a pool of sandboxes as a worker needs it.
type boxes interface {
	Fresh() job.Sandbox
	Open(ctx context.Context, sb job.Sandbox) (*pool.Box, error)
	Forget(id string)
	Halt(ctx context.Context, sb job.Sandbox) error
}

// join starts a worker. It leaves when the test ends, or by its stop, which says how long that took.
func (f *fleet) join(name string, change ...func(*habits)) *member {
	f.t.Helper()
	h := habits{Options: worker.Options{Name: name, Grace: 200 * time.Millisecond, Backoff: time.Millisecond, Offline: true, Log: logOf(name)}, trust: true}
	for _, c := range change {
		c(&h)
	}
	m := &member{f: f, name: name, ice: &ice{}, rows: func(r frozen) rows { return r }}
	if f.harm != nil {
		f.harm(m)
	}
	roles := m.open(&h)
	ctx, leave := context.WithCancel(context.WithoutCancel(f.t.Context()))
	ground, sink := context.WithCancel(context.WithoutCancel(f.t.Context()))
	var work, below sync.WaitGroup
	for _, run := range roles.work {
		work.Go(func() {
			if err := run(ctx); err != nil {
				f.t.Errorf("%s: %v", name, err)
			}
		})
	}
	below.Go(func() { _ = roles.bus.Run(ground) })
	m.stop = sync.OnceValue(func() time.Duration {
		began := time.Now()
		leave()
		work.Wait()
		sink()
		below.Wait()
		return time.Since(began)
	})
	f.t.Cleanup(func() { m.ice.thaw(); m.stop() })
	return m
}

// roles are what a worker's process runs.
type roles struct {
	bus  *bus.Bus
	work []func(context.Context) error
}

func (m *member) open(h *habits) roles {
	m.f.t.Helper()
	t := m.f.t
	redis, err := redisurl.Parse(m.f.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redisurl.Quick(redis)
	t.Cleanup(func() { client.Close() })
	b := bus.New(client, bus.Options{})
	own := storetest.Open(t, m.f.sql)
	own.SetNews(b)
	sees := frozen{own, m.ice}
	if h.boxes == nil {
		h.boxes = m.platform(own)
	}
	news, end := b.Listen()
	t.Cleanup(end)
	h.News = news
	if m.Worker, err = worker.New(m.rows(sees), h.boxes, h.Options); err != nil {
		t.Fatal(err)
	}
	wake, end := b.Listen()
	t.Cleanup(end)
	q := m.f.openQueue()
	sweeper := dispatch.NewSweeper(sees, q, m.Worker, dispatch.SweeperOptions{
		Lease: h.Lease, TrustLeases: h.trust, Holder: m.name, Wake: wake, Log: logOf(m.name),
	})
	r := roles{b, []func(context.Context) error{m.Worker.Run, sweeper.Run}}
	if !h.noHint {
		_, slots := m.Slots()
		r.work = append(r.work, func(ctx context.Context) error { return q.Consume(ctx, slots, m.Handle) })
	}
	return r
}

// platform is the fleet's, reached over a line of the member's own.
func (m *member) platform(own *store.Store) *pool.Pool {
	m.f.t.Helper()
	line := m.ice.line(m.f.t, m.f.web.URL)
	client := daytona.New(daytona.Options{URL: line + "/api", Key: platformKey})
	m.f.t.Cleanup(client.Close)
	return pool.New(client, own, pool.Options{Key: "sk-none", Installation: "fleet", Log: silent})
}

// logOf is a member's log: with FLEET_LOG set it is shown.
func logOf(name string) *slog.Logger {
	if os.Getenv("FLEET_LOG") == "" {
		return silent
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("member", name)
}
