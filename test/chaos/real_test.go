package chaos

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/offline/scripted"
)

// TestChaosWithTheRealCommand is the same with the real claude command. What it asked for is known by the model that
// answers it, which nothing stands in front of.
func TestChaosWithTheRealCommand(t *testing.T) {
	path := os.Getenv("SANDPIPER_CLAUDE")
	if path == "" {
		t.Fatal("set SANDPIPER_CLAUDE, or run make test, which installs it")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	model := scripted.New(t)
	model.Handle(func(q scripted.Request) scripted.Answer {
		o := orderIn(q.Prompt())
		return scripted.Text(o.answer()).Slowly(time.Duration(o.Millis/(o.Words+10)) * time.Millisecond)
	})
	over := time.Duration(*minutes * 0.3 * float64(time.Minute))
	t.Logf("SEED=%d MINUTES=%v REAL=%d", *seed, *minutes, *realJobs)
	f := openFleet(t, design{bin: programs(t), claude: path, model: model.URL(), slots: 3})
	f.spared = true // the model has answered before the command has, if that comes to it at all
	all := tasks(*seed+1, *realJobs, over*9/10)
	for _, one := range all {
		one.plain()
	}
	if found := f.chaos(requests{model}, model.URL(), all, over); len(found) > 0 {
		t.Errorf("SEED=%d: %d damages\n%s", *seed, len(found), tell(found))
	}
}

// plain takes out what only the stand-in does.
func (t *task) plain() {
	_, rest, _ := strings.Cut(t.input, "\n")
	t.Free, t.Retries, t.Key = 0, 0, false
	t.write(rest)
}

func orderIn(prompt string) (o order) {
	first, _, _ := strings.Cut(prompt, "\n")
	_ = json.Unmarshal([]byte(first), &o) // without it the answer is to nobody, and a check says so
	return o
}

// requests are the launches as the model knows them: each one asks it once.
type requests struct{ model *scripted.Server }

func (r requests) of(label string) (all []launch) {
	for _, q := range r.model.Requests() {
		if o := orderIn(q.Prompt()); o.Job == label {
			answer := o.answer()
			all = append(all, launch{run: q.Path, prompt: digest(q.Prompt()), at: q.At, asked: true, answer: &answer})
		}
	}
	return all
}
