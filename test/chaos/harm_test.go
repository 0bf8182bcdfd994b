package chaos

import (
	"context"
	"encoding/binary"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// harm is what was done to a sandbox at the platform. Whatever ran in it meanwhile may be lost, and nothing else.
type harm struct {
	sandbox     string // our id
	deleted     bool   // else it was stopped, and its files are there
	since, till time.Time
}

// harm stops or deletes a sandbox in which a job runs, past every proxy, as an operator of the platform could.
func (b *breaker) harm(f fault, method, how string) {
	if b.spared || b.down || !b.daytona.lives() || b.daytona.paused || b.daytona.where() == "" {
		return
	}
	id, platform := b.busy(f.target)
	if platform == "" {
		return
	}
	h := harm{sandbox: id, deleted: method == http.MethodDelete, since: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, b.daytona.where()+"/api/sandbox/"+platform+how, nil)
	b.may(err)
	q.Header.Set("Authorization", "Bearer "+daytonaKey)
	resp, err := plain.Do(q)
	if err == nil {
		resp.Body.Close()
	}
	switch h.till = time.Now().Add(5 * time.Second); { // it is answered before it is done
	case err != nil:
		h.till = h.till.Add(time.Minute) // who knows
	case resp.StatusCode/100 != 2:
		return // it was gone by then
	}
	b.harms = append(b.harms, h)
	b.ledger.hit(f.what)
}

// busy is one of the sandboxes in which a job runs: our id, and the platform's.
func (b *breaker) busy(which int) (id, platform string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, b.database)
	if err != nil {
		return "", ""
	}
	defer conn.Close(ctx)
	_ = conn.QueryRow(ctx, `SELECT id, platform_id FROM sandboxes WHERE busy_job <> '' AND state = 'ready' AND platform_id <> ''
		ORDER BY number OFFSET $1 % GREATEST(1, (SELECT COUNT(*) FROM sandboxes WHERE busy_job <> '' AND state = 'ready' AND platform_id <> '')) LIMIT 1`,
		which).Scan(&id, &platform) // without one there is nothing to do
	return id, platform
}

// harmed are the jobs of which a run was open in a sandbox while that was stopped or deleted; true: deleted.
func (f *fleet) harmed() map[string]bool {
	all := map[string]bool{}
	if len(f.harms) == 0 {
		return all
	}
	for _, r := range rows[struct {
		Job, Sandbox   string
		Begun, EndedAt int64
	}](f, `SELECT job_id, sandbox_id, intended_at, ended_at FROM runs`) {
		for _, h := range f.harms {
			if r.Sandbox == h.sandbox && r.Begun <= h.till.UnixMilli() && (r.EndedAt == 0 || r.EndedAt >= h.since.UnixMilli()) {
				all[r.Job] = all[r.Job] || h.deleted
			}
		}
	}
	return all
}

// together takes away two or three of what the processes stand on, for ten seconds at most.
func (b *breaker) together(f fault) {
	which := []string{"postgres and redis", "postgres and sandboxes", "redis and sandboxes", "postgres, redis and sandboxes"}[f.target%4]
	b.ledger.hit("away together: " + which)
	if strings.Contains(which, "postgres") {
		b.sql.away(true)
	}
	if strings.Contains(which, "redis") {
		b.hints.away(true)
	}
	hangs := strings.Contains(which, "sandboxes") && b.daytona.lives() && !b.daytona.paused
	if hangs {
		b.daytona.signal(b.t, syscall.SIGSTOP)
	}
	b.after(min(2*f.length, 10*time.Second), func() {
		b.sql.away(false)
		b.hints.away(false)
		if hangs {
			b.daytona.signal(b.t, syscall.SIGCONT)
		}
	})
}

// jump sets the clock of a worker an hour forth or back, or right again.
func (b *breaker) jump(f fault) {
	p := b.workers[f.target%len(b.workers)]
	if p.clock == "" {
		return
	}
	b.ledger.hit(f.what)
	by := []int64{-3600, 0, 3600}[f.target/8%3]
	b.may(setClock(p.clock, by))
}

// setClock writes how wrong a clock is, in seconds, where the process looks each time it is asked for the time.
func setClock(path string, seconds int64) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(seconds)), 0)
	return err
}

// clockSource is added to package time of a worker whose clock can be wrong. The monotonic clock stays right, as it does
// when somebody sets a machine's clock.
const clockSource = `package time

import (
	"syscall"
	"unsafe"
)

var wrong *int64

func init() {
	path, _ := syscall.Getenv("CHAOS_CLOCK")
	file, err := syscall.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		return
	}
	page, err := syscall.Mmap(file, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err == nil {
		wrong = (*int64)(unsafe.Pointer(&page[0]))
	}
}

func wrongBy() int64 {
	if wrong == nil {
		return 0
	}
	return *wrong
}
`

var (
	clockFolder string
	clockOnce   sync.Once
)

// wrongClocks is the folder of a worker whose clock can be set: the go command builds it with another package time.
func wrongClocks(t testing.TB) string {
	t.Helper()
	clockOnce.Do(func() {
		dir := filepath.Join(programs(t), "clock-sources")
		source := filepath.Join(runtime.GOROOT(), "src", "time", "time.go")
		raw, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		const asked = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
		if strings.Count(string(raw), asked) != 1 {
			t.Fatalf("%s tells the time in another way: say anew how it is made wrong", source)
		}
		write(t, filepath.Join(dir, "time.go"), []byte(strings.Replace(string(raw), asked, asked+"\tsec += wrongBy()\n", 1)))
		write(t, filepath.Join(dir, "wrong.go"), []byte(clockSource))
		overlay := replacing(t, dir, map[string]string{
			source: filepath.Join(dir, "time.go"), filepath.Join(filepath.Dir(source), "wrong.go"): filepath.Join(dir, "wrong.go"),
		})
		into := filepath.Join(programs(t), "wrong-clocks")
		build(t, into, "-overlay", overlay)
		clockFolder = into
	})
	if clockFolder == "" {
		t.Fatal("the programs with wrong clocks were not built")
	}
	return clockFolder
}
