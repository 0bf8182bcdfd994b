package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// left looks for what should be gone when every job has ended: leases, open runs, busy sandboxes, running commands,
// goroutines, and sandboxes that no row knows. What still changes gets a while to settle.
func (f *fleet) left(r string, goroutines map[string]int, patience time.Duration) []damage {
	f.t.Helper()
	var found []damage
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); ; <-tick.C {
		found = f.leftNow(r, goroutines)
		if len(found) == 0 || time.Now().After(limit) {
			return found
		}
	}
}

func (f *fleet) leftNow(model string, goroutines map[string]int) (found []damage) {
	found = f.leftRows()
	add := func(format string, args ...any) {
		found = append(found, damage{"left over", "", fmt.Sprintf(format, args...)})
	}
	for _, p := range processes(func(p process) bool {
		return bytes.Contains(p.environ(), []byte("SANDPIPER_RUN=")) && bytes.Contains(p.environ(), []byte(model))
	}) {
		add("a process of a run: %s", p)
	}
	for _, p := range f.all() {
		if n, base := goroutinesOf(p), goroutines[p.role]; n > base+60 {
			add("%s has %d goroutines, and had %d when it was ready", p.name, n, base)
		}
	}
	there, err := f.platform()
	if err != nil {
		add("the platform does not list its sandboxes: %v", err)
	}
	for _, sb := range f.unknown(there) {
		add("sandbox %s (%s), which no row knows", sb.ID, sb.Name)
	}
	return found
}

// wardens is how old a sandbox that belongs to nobody gets: the warden wants it to be ten minutes old, and looks every five.
const wardens = 20 * time.Minute

// unknown are sandboxes that belong to nobody. One whose row says that it is gone may still be there for a while: a creation
// whose worker gave up took effect later, and it waits for the warden.
func (f *fleet) unknown(there []platformSandbox) (none []platformSandbox) {
	known, gone := map[string]bool{}, map[string]bool{}
	for _, row := range rows[struct{ ID, State, PlatformID string }](f, `SELECT id, state, platform_id FROM sandboxes`) {
		switch row.State {
		case "ready", "creating":
			known[row.PlatformID] = true
		case "gone":
			gone[row.ID] = true
		}
	}
	for _, sb := range there {
		if !known[sb.ID] && (!gone[sb.Name] || time.Since(sb.CreatedAt) > wardens) {
			none = append(none, sb)
		}
	}
	return none
}

// leftRows are those that should have gone with their job.
func (f *fleet) leftRows() (found []damage) {
	for what, query := range map[string]string{
		"leases":                 `SELECT job_id FROM leases`,
		"open runs":              `SELECT id FROM runs WHERE phase <> 'ended'`,
		"busy sandboxes":         `SELECT id FROM sandboxes WHERE busy_job <> ''`,
		"sandboxes on the way":   `SELECT id FROM sandboxes WHERE state IN ('creating', 'cleanup')`,
		"waits that never ended": `SELECT id FROM jobs WHERE state IN ('queued', 'running')`,
	} {
		if ids := rows[struct{ ID string }](f, query); len(ids) > 0 {
			found = append(found, damage{"left over", "", fmt.Sprintf("%d %s: %v", len(ids), what, ids[:min(3, len(ids))])})
		}
	}
	return found
}

// platform are the ids of all sandboxes that the local Daytona has.
func (f *fleet) platform() ([]platformSandbox, error) {
	q, err := http.NewRequest(http.MethodGet, f.daytona.where()+"/api/sandbox?limit=200", nil)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "Bearer "+daytonaKey)
	resp, err := plain.Do(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var list struct{ Items []platformSandbox }
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%w: %s", err, tail(string(raw), 200))
	}
	return list.Items, nil
}

// platformSandbox is a sandbox as the platform lists it. Its name is our id.
type platformSandbox struct {
	ID, Name  string
	CreatedAt time.Time
}

var goroutineLine = regexp.MustCompile(`(?m)^go_goroutines (\d+)`)

// goroutinesOf is what a process says of itself; 0 when it says nothing.
func goroutinesOf(p *part) int {
	resp, err := plain.Get(p.where() + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	line := goroutineLine.FindSubmatch(raw)
	if err != nil || line == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(line[1])) // the expression lets digits through only
	return n
}

// secrets looks for the keys where they must never be.
func (f *fleet) secrets(p picture) (found []damage) {
	say := func(where string, text []byte) {
		for _, key := range []string{modelKey, daytonaKey} {
			if bytes.Contains(text, []byte(key)) {
				found = append(found, damage{"secret shown", where, "a key"})
			}
		}
	}
	logs, _ := filepath.Glob(filepath.Join(f.dir, "*.log"))
	for _, name := range logs {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.t.Fatal(err)
		}
		say(filepath.Base(name), raw)
	}
	for id, events := range p.events {
		for _, e := range events {
			say(id, e.Body)
		}
	}
	for id, text := range p.results {
		say(id, []byte(text))
	}
	for id, j := range p.jobs {
		say(id, []byte(j.Message))
	}
	return found
}

// process is one of this machine's, by its folder in /proc.
type process string

func (p process) read(name string) []byte {
	raw, _ := os.ReadFile(filepath.Join(string(p), name)) // it may have ended
	return raw
}

func (p process) environ() []byte { return p.read("environ") }

func (p process) String() string {
	return fmt.Sprintf("%s %q", filepath.Base(string(p)), strings.ReplaceAll(string(p.read("cmdline")), "\x00", " "))
}

// runOf is the run that a process belongs to; "" without one.
func runOf(p process) string {
	for _, v := range bytes.Split(p.environ(), []byte{0}) {
		if run, ok := bytes.CutPrefix(v, []byte("SANDPIPER_RUN=")); ok {
			return string(run)
		}
	}
	return ""
}

func processes(which func(process) bool) (all []process) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if p := process(dir); p != process(fmt.Sprintf("/proc/%d", os.Getpid())) && which(p) {
			all = append(all, p)
		}
	}
	return all
}

// ended ends the fleet as an operator does, and looks for what is still there.
func (f *fleet) ended() (found []damage) {
	for _, bad := range f.stop(time.Minute) {
		found = append(found, damage{"left over", "", bad})
	}
	f.program("stop")
	for _, p := range processes(func(p process) bool {
		for _, name := range []string{"cmdline", "environ", "mountinfo"} {
			if bytes.Contains(p.read(name), []byte(f.dir+"/")) {
				return true
			}
		}
		return false
	}) {
		found = append(found, damage{"left over", "", "after the end: " + p.String()})
	}
	return found
}
