package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// mutation is a protection that can be taken out of the real sources. The product has no switch for it: the go command
// builds these programs from changed copies (go help build, -overlay).
type mutation struct {
	name    string
	promise string // of the design, that it breaks
	changes []change
}

// change replaces a piece of a file, which must be there exactly once.
type change struct{ file, old, new string }

// on is how the changed sources ask whether a mutation is wanted.
func on(name string) string { return `mutant.On("` + name + `")` }

var mutations = []mutation{
	{"answer before commit", "accepted means kept", []change{{
		"internal/dispatch/dispatch.go", "	if err != nil {\n		return job.Job{}, false, fmt.Errorf(\"submit a job: %w\", err)",
		"	if err != nil && " + on("answer before commit") + ` {
		return job.Job{ID: job.NewID(d.now()), Tenant: c.Tenant, UserID: c.UserID, Spec: spec, State: job.Queued}, false, nil
	}
	if err != nil {
		return job.Job{}, false, fmt.Errorf("submit a job: %w", err)`,
	}}},
	{"hints are the truth", "accepted means kept", []change{{
		"internal/dispatch/sweeper.go", "func (s *Sweeper) move(ctx context.Context) (int, error) {\n",
		"func (s *Sweeper) move(ctx context.Context) (int, error) {\n	if " + on("hints are the truth") + " {\n		return 0, nil\n	}\n",
	}}},
	{"no look", "paid once", []change{
		{
			"internal/worker/attempt.go", "	if a.prior != nil && a.prior.Phase != job.Ended {\n		return a.takeOver",
			"	if a.prior != nil && a.prior.Phase != job.Ended && !" + on("no look") + " {\n		return a.takeOver",
		},
		{
			"internal/store/runs.go", "	if open {\n		return ErrRunOpen",
			"	if open && " + on("no look") + ` {
		if _, err := t.exec(ctx, "UPDATE runs SET phase = 'ended' WHERE job_id = $1", h.id); err != nil {
			return err
		}
		open = false
	}
	if open {
		return ErrRunOpen`,
		},
	}},
	{"no intent", "paid once", []change{{
		"internal/worker/launch.go", "return a.w.rows.Intend(ctx,",
		"if " + on("no intent") + ` {
			if err := a.request(ctx, prompt); err != nil {
				return err
			}
			pause(ctx, 30*time.Second)
		}
		return a.w.rows.Intend(ctx,`,
	}}},
	{"no adoption", "paid once", []change{{
		"internal/worker/takeover.go", "	switch found.Kind {\n",
		"	if " + on("no adoption") + " {\n		found.Kind = run.Unknown\n	}\n	switch found.Kind {\n",
	}}},
	{"no lock", "paid once", []change{{
		"internal/run/start.go", "Content: []byte(runScript())", `Content: []byte(mutant.Text("no lock", runScript(), ` + quoted(lockless) + `))`,
	}}},
	{"no idempotency", "paid once", []change{{
		"internal/httpapi/submission.go", "	if len(names) == 0 {\n		return store.Key{}, nil", "	if len(names) == 0 || " + on("no idempotency") + " {\n		return store.Key{}, nil",
	}}},
	{"no fence", "no stale write", []change{
		{"internal/store/head.go", "	if err == nil && (h.state", "	if err == nil && !" + on("no fence") + " && (h.state"},
		{"internal/store/append.go", "	if noRows(err) {\n		return 0, job.ErrLost", "	if noRows(err) && " + on("no fence") + " {\n		return b.From, nil\n	}\n	if noRows(err) {\n		return 0, job.ErrLost"},
		{"internal/store/append.go", "	switch {\n	case h.lastSeq == b.AfterSeq && offset == b.From:", "	switch {\n	case " + on("no fence") + ":\n		return t.addEvents(ctx, &h, b.Events...)\n	case h.lastSeq == b.AfterSeq && offset == b.From:"},
		{"internal/worker/worker.go", "	for _, id := range beat.Lost {\n", "	for _, id := range beat.Lost {\n		if " + on("no fence") + " {\n			continue\n		}\n"},
	}},
	{"events without their offset", "nothing shown is lost", []change{{
		"internal/worker/follow.go", "From: a.run.Offset, To: chunk.Next,",
		`From: mutant.Zero("events without their offset", a.run.Offset), To: mutant.Zero("events without their offset", chunk.Next),`,
	}}},
	{"publish before commit", "nothing shown is lost", []change{
		{
			"internal/store/tx.go", "		err := do(ctx, t)\n		news = t.news\n",
			"		err := do(ctx, t)\n		news = t.news\n		if " + on("publish before commit") + " {\n			s.publish(ctx, news)\n			news = nil\n			mutant.Pause()\n		}\n",
		},
		{
			"internal/relay/relay.go", "	head, err := r.events.Head(ctx)\n",
			"	if " + on("publish before commit") + " {\n		return seen, nil\n	}\n	head, err := r.events.Head(ctx)\n",
		},
	}},
	{"no replay", "nothing shown is lost", []change{{
		"internal/relay/stream.go", "s.begin(ctx, start.kind == live)", "s.begin(ctx, start.kind == live || " + on("no replay") + ")",
	}}},
	{"the prompt is tidied", "byte for byte", []change{{
		"internal/worker/launch.go", "	prompt, spaced := claude.Prompt(a.job.Spec.Input)\n",
		"	prompt, spaced := claude.Prompt(a.job.Spec.Input)\n	prompt = mutant.Tidy(\"the prompt is tidied\", prompt)\n",
	}}},
	{"everybody's events", "nobody else's", []change{{
		"internal/store/stream.go", `	w.visible(c, "", sc.UserID, sc.JobID != "" || sc.BatchID != "")`,
		"	if !" + on("everybody's events") + " {\n		w.visible(c, \"\", sc.UserID, sc.JobID != \"\" || sc.BatchID != \"\")\n	}",
	}}},
	{"no mask", "no secret escapes", []change{{
		"internal/worker/mask.go", "func newMask(secrets []string) mask {\n", "func newMask(secrets []string) mask {\n	if " + on("no mask") + " {\n		secrets = nil\n	}\n",
	}}},
	{"an offset before its events", "nothing shown is lost", []change{{
		"internal/worker/follow.go", "	if err := a.append(ctx, b); err != nil {\n		return err\n	}\n	a.run.Offset",
		"	if first := b; " + on("an offset before its events") + ` {
		first.Events, b.From = nil, b.To
		if err := a.append(ctx, first); err != nil {
			return err
		}
		pause(ctx, 4*time.Second)
	}
	if err := a.append(ctx, b); err != nil {
		return err
	}
	a.run.Offset`,
	}}},
	{"an end without its answer", "accepted means kept", []change{{
		"internal/store/finish.go", "	if o.Result == nil {\n", "	if o.Result == nil || " + on("an end without its answer") + " {\n",
	}}},
	{"an adoption is a try", "deploys are free", []change{{
		"internal/store/claim.go", "*h, st, `, state = 'running', ",
		"*h, st, mutant.Text(map[bool]string{true: \"an adoption is a try\"}[q.TakeOver], \", \", \", \", \", tries = tries + 1, \")+`state = 'running', ",
	}}},
	{"a cancel ends no run", "nothing is left", []change{{
		"internal/worker/follow.go", "	if err := r.stop(ctx); err != nil {\n",
		"	if " + on("a cancel ends no run") + " {\n		return r.verdict(ctx, claude.Ending{Cancelled: errors.Is(cause, errCancelled)})\n	}\n	if err := r.stop(ctx); err != nil {\n",
	}}},
	{"a deploy ends what runs", "deploys are free", []change{{
		"internal/worker/attempt.go", "	case errors.Is(cause, errDrain):\n",
		"	case errors.Is(cause, errDrain) && " + on("a deploy ends what runs") + " && a.run.ID != \"\":\n		_ = a.reader().stop(context.WithoutCancel(ctx))\n	case errors.Is(cause, errDrain):\n",
	}}},
}

// lockless are pieces of the script that launches, and what stands there without its lock: the lock, the marker, and the lock
// that one keeper waits for while another lives.
var lockless = []string{
	"if ! mkdir lock; then", "if false; then", "[[ -e $base/launched/$id ]] && { already; return; }", ":", `flock -x "$HELD"`, ":",
}

func quoted(all []string) string {
	var b strings.Builder
	for _, one := range all {
		fmt.Fprintf(&b, "%q, ", one)
	}
	return b.String()
}

// mutantSource is the package that the changed sources ask.
const mutantSource = `package mutant

import (
	"bytes"
	"os"
	"strings"
	"time"
)

func On(name string) bool { return os.Getenv("CHAOS_MUTANT") == name }

func Zero(name string, n int64) int64 {
	if On(name) {
		return 0
	}
	return n
}

func Text(name, text string, pairs ...string) string {
	if !On(name) {
		return text
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			panic("the script has no " + pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func Tidy(name string, text []byte) []byte {
	if On(name) {
		return bytes.TrimSpace(text)
	}
	return text
}

// Pause holds a transaction open for longer than its news takes to be looked into.
func Pause() { time.Sleep(600 * time.Millisecond) }
`

var (
	mutantFolder string
	mutantOnce   sync.Once
)

// mutants are the programs with every mutation in them; a variable says which of them is wanted.
func mutants(t testing.TB) string {
	t.Helper()
	mutantOnce.Do(func() {
		into := filepath.Join(programs(t), "mutants")
		build(t, into, "-overlay", overlay(t, filepath.Join(programs(t), "changed")))
		mutantFolder = into
	})
	if mutantFolder == "" {
		t.Fatal("the mutants were not built")
	}
	return mutantFolder
}

// overlay writes the changed sources into dir, and what the go command must know of them.
func overlay(t testing.TB, dir string) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	changed := map[string]string{"internal/mutant/mutant.go": mutantSource}
	for _, m := range mutations {
		for _, c := range m.changes {
			if _, known := changed[c.file]; !known {
				raw, err := os.ReadFile(filepath.Join(root, c.file))
				if err != nil {
					t.Fatal(err)
				}
				changed[c.file] = importing(string(raw))
			}
			if n := strings.Count(changed[c.file], c.old); n != 1 {
				t.Fatalf("mutant %q: %s has these lines %d times; say anew what takes the protection out:\n%s", m.name, c.file, n, c.old)
			}
			changed[c.file] = strings.Replace(changed[c.file], c.old, c.new, 1)
		}
	}
	replace := map[string]string{}
	for name, text := range changed {
		copied := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		write(t, copied, []byte(text))
		replace[filepath.Join(root, name)] = copied
	}
	return replacing(t, dir, replace)
}

// replacing writes for the go command which files stand for which.
func replacing(t testing.TB, dir string, replace map[string]string) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "overlay.json"), raw)
	return filepath.Join(dir, "overlay.json")
}

func importing(source string) string {
	return strings.Replace(source, "import (\n", "import (\n	\"sandpiper/internal/mutant\"\n", 1)
}

func write(t testing.TB, path string, raw []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestTheMutantsHaveTheirPlaces is quick to say that a protection has moved.
func TestTheMutantsHaveTheirPlaces(t *testing.T) {
	overlay(t, t.TempDir())
	script, err := os.ReadFile(filepath.Join("..", "..", "internal", "run", "sh", "run.sh"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(lockless); i += 2 {
		if n := strings.Count(string(script), lockless[i]); n != 1 {
			t.Errorf("run.sh has %q %d times", lockless[i], n)
		}
	}
}
