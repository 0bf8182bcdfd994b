package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// How much there is in the test of plans. `make long` takes 1,000,000 jobs with ten events each.
var (
	manyJobs   = flag.Int("jobs", 40_000, "jobs in the test of plans")
	manyEvents = flag.Int("events", 4, "events of each of these jobs")
)

// mostPages is how many pages of 8 KB a statement may look at, whatever it finds: two hundred events of a user lie in as
// many places, with the index beside them. What goes through a table has more.
const mostPages = 2000

// fewRows are so few that it does not matter how they are found: there are as many leases as jobs that run.
const fewRows = 2500

// TestNoStatementGoesThroughATable does everything that a store does in a database with the rows of years, and lets the
// server itself say by which plan it did it. It does so with the plans that the server makes for the values of a
// statement, and with those that it makes once for all values, which it uses when a connection has asked a few times.
func TestNoStatementGoesThroughATable(t *testing.T) {
	server := pgtest.New(t, "fsync=off", "full_page_writes=off", "max_wal_size=4GB", "shared_buffers=512MB", "autovacuum=off",
		"session_preload_libraries=auto_explain", "auto_explain.log_format=json", "auto_explain.log_analyze=on",
		"auto_explain.log_buffers=on")
	url := server.Database(t)
	if _, _, err := store.Migrate(t.Context(), url, quiet); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	many(t, url, *manyJobs, *manyEvents)
	t.Logf("%d jobs with %d events made in %v", *manyJobs, *manyEvents**manyJobs, time.Since(began).Round(time.Second))
	for _, mode := range []struct {
		name  string
		times int // the first five times Postgres makes a plan for the values, unless it is told not to
		do    []func(*testing.T, *store.Store)
	}{
		{"auto", 6, []func(*testing.T, *store.Store){writes, reads(t, url), lists}},
		{"force_generic_plan", 1, []func(*testing.T, *store.Store){writes, reads(t, url)}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			s := storetest.Open(t, url+"&plan_cache_mode="+mode.name+"&auto_explain.log_min_duration=0")
			for range mode.times {
				for _, each := range mode.do {
					each(t, s)
				}
			}
		})
	}
	for name, queued := range map[string]string{ // :: of the jobs that the planner has seen
		"grown, half of what was seen was queued": "number % 2 = 0",
		"grown, none that was queued was seen":    "FALSE",
	} {
		t.Run(name, func(t *testing.T) {
			grown := server.Database(t)
			_, _, err := store.Migrate(t.Context(), grown, quiet)
			must(t, err)
			grow(t, grown, min(*manyJobs, 40_000), queued)
			// Statements are to be good by themselves, and not only because our connections avoid such scans.
			s := storetest.Open(t, grown+"&enable_seqscan=on&auto_explain.log_min_duration=0")
			for range 6 {
				writes(t, s)
				due(t, s)
			}
		})
	}
	t.Logf("%s on the disk", size(t, url))
	raw, err := server.Log()
	if err != nil {
		t.Fatal(err)
	}
	plans := plansIn(t, string(raw))
	faults := map[string]bool{}
	for _, p := range plans {
		if fault := p.fault(); fault != "" && !faults[p.Query] {
			faults[p.Query] = true
			t.Errorf("%s:\n%s\n%s", fault, p.Query, p.Plan)
		}
	}
	if len(plans) < 60 {
		t.Errorf("%d statements were looked at: the log has others", len(plans))
	}
	t.Log(table(plans))
}

// mayTakeLong has parts of statements that look at more than they find, and why that is fine.
var mayTakeLong = map[string]string{
	"SELECT state, COUNT(*) FROM jobs GROUP BY state":     "the metrics: counts all jobs",
	"j.state = $2 AND j.batch_id <> '' AND j.batch_id = ": "a batch's jobs in one state, for people: goes through the batch until there is a page",
	"j.state = $3 AND j.batch_id <> '' AND j.batch_id = ": "the same, for its user",
}

// plan is how Postgres answered a statement.
type plan struct {
	Query string `json:"Query Text"`
	Plan  node
	took  float64 // milliseconds
}

// node is a step of a plan, with those before it.
type node struct {
	Type    string  `json:"Node Type"`
	Loops   float64 `json:"Actual Loops"`
	Table   string  `json:"Relation Name"`
	Index   string  `json:"Index Name"`
	Found   float64 `json:"Actual Rows"`
	Dropped float64 `json:"Rows Removed by Filter"`
	Hit     int     `json:"Shared Hit Blocks"`
	Read    int     `json:"Shared Read Blocks"`
	Plans   []node
}

// fault says what is wrong with a plan, "" for nothing.
func (p plan) fault() (fault string) {
	for part := range mayTakeLong {
		if strings.Contains(p.Query, part) {
			return ""
		}
	}
	should := mostPages
	if strings.Contains(p.Query, "WITH RECURSIVE users") {
		// Where none that is queued was seen, a round sorts all that are, three times. There are 5,000 of them at most then, and
		// not as many as here: see statistics.
		should = 5 * mostPages
	}
	if p.Plan.Type == "ModifyTable" {
		should += 30 * int(p.Plan.Found) // its indexes, for each row
	}
	if n := p.Plan.Hit + p.Plan.Read; n > should {
		fault = fmt.Sprintf("%d pages were looked at, and %d should do", n, should)
	}
	p.Plan.walk(func(n node) {
		if rows := n.Loops * (n.Found + n.Dropped); n.Type == "Seq Scan" && rows > fewRows {
			fault = "it goes through all " + n.Table
		}
	})
	return fault
}

func (n node) walk(do func(node)) {
	do(n)
	for _, before := range n.Plans {
		before.walk(do)
	}
}

func (n node) String() string {
	var b strings.Builder
	var write func(n node, depth int)
	write = func(n node, depth int) {
		fmt.Fprintf(&b, "%*s%s %s %s: %v rows, %v dropped, %d pages\n", 2*depth, "", n.Type, n.Table, n.Index, n.Found, n.Dropped, n.Hit+n.Read)
		for _, before := range n.Plans {
			write(before, depth+1)
		}
	}
	write(n, 1)
	return b.String()
}

// plansIn reads the plans in a server's log, those of the schema's steps left out. A plan follows its time, on lines that
// begin with a tab.
func plansIn(t *testing.T, log string) (plans []plan) {
	t.Helper()
	parts := strings.Split(log, " ms  plan:\n")
	for i, part := range parts[1:] {
		var body strings.Builder
		for line := range strings.Lines(part) {
			if !strings.HasPrefix(line, "\t") {
				break
			}
			body.WriteString(line)
		}
		var p plan
		if err := json.Unmarshal([]byte(body.String()), &p); err != nil {
			t.Fatalf("%v in\n%s", err, body.String())
		}
		if strings.Contains(p.Query, "goose") || strings.Contains(p.Query, "to_regclass") {
			continue
		}
		p.Query = strings.Join(strings.Fields(p.Query), " ")
		before := parts[i]
		if _, err := fmt.Sscan(before[strings.LastIndex(before, " ")+1:], &p.took); err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
	}
	return plans
}

// table lists each statement with its indexes, the most pages and the longest time that it took.
func table(plans []plan) string {
	type line struct {
		indexes      map[string]bool
		pages, times int
		took         float64
	}
	lines := map[string]*line{}
	for _, p := range plans {
		l := lines[p.Query]
		if l == nil {
			l = &line{indexes: map[string]bool{}}
			lines[p.Query] = l
		}
		l.pages, l.took, l.times = max(l.pages, p.Plan.Hit+p.Plan.Read), max(l.took, p.took), l.times+1
		p.Plan.walk(func(n node) {
			if n.Index != "" {
				l.indexes[n.Index] = true
			}
		})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%6s %6s %9s  %s\n", "asked", "pages", "ms", "statement ← indexes")
	for _, q := range slices.Sorted(maps.Keys(lines)) {
		l := lines[q]
		fmt.Fprintf(&b, "%6d %6d %9.3f  %s ← %s\n", l.times, l.pages, l.took, brief(q), strings.Join(slices.Sorted(maps.Keys(l.indexes)), " "))
	}
	return b.String()
}

// brief is the beginning of a statement and its end, where they differ.
func brief(q string) string {
	const head, tail = 24, 120
	if len(q) <= head+tail {
		return q
	}
	return q[:head] + " … " + q[len(q)-tail:]
}

// writes goes all the ways of a job.
func writes(t *testing.T, s *store.Store) {
	heavy := func(j *job.Job) { j.UserID = "heavy" }
	c := storetest.Claimed(t, s, heavy) // from the pool of many
	r := storetest.Launched(t, s, c)
	_, err := s.Append(t.Context(), c.Attempt, store.Batch{
		AfterSeq: c.Job.LastSeq, RunID: r.ID, To: 9, Usage: storetest.Answer("").Usage, Events: []job.Event{job.Log(time.Now(), "a")},
	})
	must(t, err)
	_, err = s.Beat(t.Context(), storetest.Worker, []job.Attempt{c.Attempt, {JobID: "job_0_none", Number: 1}}, time.Hour)
	must(t, err)
	next := storetest.TakenOver(t, s, c.Attempt)
	must(t, s.EndRun(t.Context(), next.Attempt, r.ID))
	must(t, s.Requeue(t.Context(), next.Attempt, next.Job.LastSeq, store.Requeue{ChargeTry: true, Reason: "try again"}))
	again := storetest.Claim(t, s, c.Job.ID)
	must(t, s.Finish(t.Context(), again.Attempt, storetest.Answer("4"), again.Job.LastSeq))

	fresh := storetest.Claimed(t, s) // in a sandbox of its own
	storetest.Ready(t, s, fresh.Sandbox.ID)
	said := storetest.Answer("4")
	said.Session = "session"
	must(t, s.Finish(t.Context(), fresh.Attempt, said, fresh.Job.LastSeq))
	_, err = s.ReapIdle(t.Context(), 24*time.Hour, 100)
	must(t, err)
	goOn := storetest.Queued(t, s, func(j *job.Job) { j.Spec.SandboxID, j.Spec.Continue = fresh.Sandbox.ID, true })
	after := storetest.Queued(t, s, func(j *job.Job) { j.Spec.ConversationID = goOn.ConversationID })
	going := storetest.Claim(t, s, goOn.ID)
	must(t, s.Finish(t.Context(), going.Attempt, storetest.Answer("4"), going.Job.LastSeq))
	_, err = s.Cancel(t.Context(), storetest.Ann, after.ID)
	must(t, err)
	running := storetest.Claimed(t, s)
	_, err = s.Cancel(t.Context(), storetest.Ann, running.Job.ID)
	must(t, err)
	must(t, s.Finish(t.Context(), running.Attempt, storetest.Answer("4"), running.Job.LastSeq))

	j := storetest.New()
	for range 2 {
		_, _, err = s.Submit(t.Context(), storetest.Ann, j, store.Key{Name: j.ID, Fingerprint: []byte{1}})
		must(t, err)
	}
	long := storetest.New(func(j *job.Job) { j.UserID, j.Spec.ConversationID = "heavy", "talk" })
	_, _, err = s.Submit(t.Context(), auth.User("heavy"), long, store.Key{})
	must(t, err)
	_, err = s.Cancel(t.Context(), auth.User("heavy"), long.ID)
	must(t, err)

	b := storetest.Sandbox(t, s, auth.User("heavy"))
	must(t, s.SandboxCleanup(t.Context(), b.ID, "no more"))
	must(t, s.SandboxGone(t.Context(), b.ID, "deleted"))
	_, err = s.AddSandbox(t.Context(), auth.User("heavy"), job.Sandbox{ID: job.NewSandboxID(), Fingerprint: "print"})
	must(t, err)
	_, err = s.ForgetKeys(t.Context(), 24*time.Hour, 20)
	must(t, err)
	_, err = s.SandboxesToCreate(t.Context(), storetest.Worker, time.Minute, 10, job.Limits{})
	must(t, err)
	_, err = storetest.Overdue(t.Context(), s, 2*time.Second, 100)
	must(t, err)
	_, err = s.HoldTurn(t.Context(), "sweep", storetest.Worker, time.Millisecond)
	must(t, err)
	must(t, s.SetSnapshot(t.Context(), "snap"))
	places(t, s)
	batches(t, s)
}

// places has a job wait for a place of a sandbox, and come.
func places(t *testing.T, s *store.Store) {
	j := storetest.New(func(j *job.Job) { j.UserID = "heavy" })
	_, _, err := s.Submit(t.Context(), auth.User("heavy"), j, store.Key{})
	must(t, err)
	for _, l := range []job.Limits{{All: 1, PerUser: 1}, {All: 1_000_000, PerUser: 1_000_000}} {
		q := storetest.ClaimOf(j.ID)
		q.Limits, q.Fresh.Fingerprint = l, "another"
		if _, err = s.Claim(t.Context(), q); l.All > 1 || !errors.Is(err, job.ErrNotClaimable) {
			must(t, err)
		}
		_, _, err = s.UsherIn(t.Context(), job.Limits{}, "print")
		must(t, err)
	}
	_, _, err = s.GiveWay(t.Context())
	must(t, err)
	_, err = s.Cancel(t.Context(), auth.User("heavy"), j.ID)
	must(t, err)
}

// batches goes all the ways of a batch.
func batches(t *testing.T, s *store.Store) {
	turn := func() {
		_, err := s.TurnBatches(t.Context(), time.Hour)
		must(t, err)
		_, err = s.CountBatches(t.Context())
		must(t, err)
	}
	for _, drop := range []bool{true, false} {
		b := job.Batch{ID: job.NewBatchID(), UserID: "heavy"}
		must(t, s.OpenBatch(t.Context(), auth.User("heavy"), b))
		line := storetest.New(func(j *job.Job) { j.Spec.Priority = job.Bulk })
		must(t, s.AddLines(t.Context(), b, 0, []job.Job{line}))
		if drop {
			must(t, s.DropBatch(t.Context(), b.ID))
			turn()
			continue
		}
		_, _, err := s.CompleteBatch(t.Context(), b, store.Key{Name: b.ID, Fingerprint: []byte{1}})
		must(t, err)
		turn()
		_, err = s.Batch(t.Context(), auth.User("heavy"), b.ID)
		must(t, err)
		_, _, _, err = s.BatchJobs(t.Context(), auth.User("heavy"), b.ID, store.ResultsAfter{}, 10)
		must(t, err)
		_, _, err = s.FailedOf(t.Context(), auth.User("heavy"), b.ID, 0, 10)
		must(t, err)
		must(t, s.CancelBatch(t.Context(), auth.User("heavy"), b.ID))
		turn()
	}
}

// reads asks what is asked often.
func reads(t *testing.T, url string) func(t *testing.T, s *store.Store) {
	id, running := idOf(t, url, *manyJobs/2), idOf(t, url, *manyJobs*979/1000)
	return func(t *testing.T, s *store.Store) {
		for _, c := range manyCallers {
			for _, sc := range []store.Scope{{}, {JobID: id}, {BatchID: "batch"}, {UserID: "user-7"}, {UserID: "heavy", BatchID: "batch"}} {
				for _, after := range []int64{0, int64(*manyJobs/4) << 20, int64(*manyJobs/2-20) << 20} {
					_, _, err := s.Stream(t.Context(), c, sc, after, 0)
					must(t, err)
				}
			}
		}
		for _, id := range []string{id, running} {
			_, err := s.Job(t.Context(), auth.LocalOperator(), id)
			must(t, err)
			_, err = s.Events(t.Context(), auth.LocalOperator(), id, 2, 0)
			must(t, err)
		}
		due(t, s)
		_, err := s.Lapsed(t.Context(), 100)
		must(t, err)
		_, err = s.Head(t.Context())
		must(t, err)
		_, err = s.Running(t.Context())
		must(t, err)
		_, err = s.Counts(t.Context())
		must(t, err)
		_, err = s.SandboxesToDelete(t.Context(), 100)
		must(t, err)
		_, err = s.Installation(t.Context())
		must(t, err)
	}
}

// due asks whose turn it is.
func due(t *testing.T, s *store.Store) {
	_, err := storetest.Due(t.Context(), s, 100)
	must(t, err)
}

// manyCallers are who asks in a database that many has filled.
var manyCallers = []auth.Caller{auth.LocalOperator(), auth.User("heavy"), auth.User("user-7")}

// lists asks for pages of what there is, in every way.
func lists(t *testing.T, s *store.Store) {
	for _, c := range manyCallers {
		for _, f := range []store.JobFilter{
			{},
			{State: job.Running},
			{State: job.Failed},
			{State: job.Queued},
			{BatchID: "batch"},
			{BatchID: "batch-user-7-0"},
			{UserID: "user-7"},
			{UserID: "heavy"},
			{BatchID: "batch", State: job.Succeeded},
			{UserID: "heavy", State: job.Cancelled},
		} {
			_, next, err := s.Jobs(t.Context(), c, f)
			must(t, err)
			if next != "" {
				f.Cursor = next
				_, _, err = s.Jobs(t.Context(), c, f)
				must(t, err)
			}
		}
		_, err := s.Sandboxes(t.Context(), c, 0)
		must(t, err)
	}
}

// size is what a database takes on the disk, with its largest tables and their indexes.
func size(t testing.TB, url string) (all string) {
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	must(t, conn.QueryRow(t.Context(), `SELECT pg_size_pretty(pg_database_size(current_database())) || ', of it ' ||
		(SELECT string_agg(relname || ' ' || pg_size_pretty(pg_total_relation_size(oid)), ', ' ORDER BY pg_total_relation_size(oid) DESC)
		FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_total_relation_size(oid) > 1 << 20)`).Scan(&all))
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
