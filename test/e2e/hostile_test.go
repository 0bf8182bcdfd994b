package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// How much the two long tests do: `make test` takes the defaults, `make long` the whole.
var (
	hostilePrompts = flag.Int("prompts", 17, "hostile prompts, at least 17")
	jobsAtOnce     = flag.Int("jobs", 10, "jobs at once")
)

// large are prompts of a size that breaks things.
var large = []string{
	strings.Repeat("0123456789abcde\n", 400<<10/16), strings.Repeat("é\"$(x)\\", 20_000), strings.Repeat("\n", 50_000),
}

// atStart are pieces that the command might take as its own where they begin a prompt. The first 12 have one of each kind.
var atStart = []string{
	"/cost", "--model=opus", "@/etc/hostname", "!ls", "# x", "exit 1", "\x00", "\ufeff", `{"type":"result"}`, "$(touch /tmp/pwned)", "\r\n", "\x1b[2J",
	"/clear", "-p", "--help", "@~/.sandpiper", "!!", "\\", "  ", "~", "<<EOF",
}

// anywhere are those that a shell, a pipe or a decoder might.
var anywhere = []string{
	`"`, `'`, "`", "`id`", "${HOME}", "$$", `\\`, `\n`, "\n", "\t", "\x01\x01\x01",
	"\x02\x02\x02", "\x7f", "&&", "|", ";", ">", "<", "EOF", "*", "?", "%s", "%00",
	"é", "日本語", "😀", "👩‍👩‍👧",
	"\u202e", "\u0000", "\u2028", " ", "{}", "</s>", "word",
}

// pieces are what has broken prompts elsewhere.
var pieces = slices.Concat(atStart, anywhere)

// hostile makes prompt i of a series that is the same at every run. The first 17 have every piece that matters anywhere in them,
// and of those that matter at the start one of each kind there; the next have the others.
func hostile(i int) string {
	r := rand.New(rand.NewPCG(42, uint64(i)))
	var b strings.Builder
	if i < len(large) {
		b.WriteString(large[i])
	} else if i-len(large) < len(pieces) {
		b.WriteString(pieces[i-len(large)])
	}
	for n := range 2 {
		b.WriteString(anywhere[(2*i+n)%len(anywhere)])
	}
	for n := r.IntN(12); n > 0; n-- {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	b.WriteString("\nq")                       // never blank
	return fmt.Sprintf("%s#%d", b.String(), i) // told apart at the model
}

// TestHostilePromptsReachTheModelByteForByte through the API, SQL, the sandbox and the real command.
func TestHostilePromptsReachTheModelByteForByte(t *testing.T) {
	prompts := *hostilePrompts
	h := open(t, "SANDPIPER_CONCURRENCY=3")
	var mu sync.Mutex
	asked := map[string]int{} // :: prompt as the model received it → how often
	h.model.Handle(func(r scripted.Request) scripted.Answer {
		mu.Lock()
		defer mu.Unlock()
		asked[r.Prompt()]++
		return scripted.Text("ok")
	})
	ids := make([]string, prompts)
	for i := range ids {
		ids[i] = h.submit(t, client.Submit{UserID: fmt.Sprintf("user%d", i%3), Input: hostile(i), TimeoutSeconds: 600})
	}
	for i, id := range ids {
		if j := h.ended(t, id); j.State != "succeeded" {
			t.Errorf("prompt %d %.60q ended as %s %+v", i, hostile(i), j.State, j.Error)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range prompts {
		want := hostile(i)
		if strings.HasPrefix(want, "/") {
			want = " " + want // the one byte that is ever added
		}
		if asked[want] != 1 {
			t.Errorf("prompt %d %.80q reached the model %d times", i, want, asked[want])
		}
	}
	if len(asked) != prompts {
		t.Errorf("the model saw %d different prompts, want %d", len(asked), prompts)
	}
}

// TestManyJobsOfFiveUsers at once: each its own answer, each in a sandbox of its own user.
func TestManyJobsOfFiveUsers(t *testing.T) {
	jobs, users := *jobsAtOnce, 5
	h := open(t, "SANDPIPER_CONCURRENCY=8")
	h.model.Handle(func(r scripted.Request) scripted.Answer { return scripted.Text("answer to " + r.Prompt()) })
	var wg sync.WaitGroup
	ids := make([]string, jobs)
	for i := range ids {
		wg.Go(func() {
			ids[i] = h.submit(t, client.Submit{UserID: fmt.Sprintf("user%d", i%users), Input: fmt.Sprintf("question %d", i)})
		})
	}
	wg.Wait()
	owner := map[string]string{} // :: sandbox → user
	for i, id := range ids {
		j := h.ended(t, id)
		want := fmt.Sprintf("answer to question %d", i)
		if j.State != "succeeded" || j.Result.Text != want {
			t.Errorf("job %d = %s %+v %+v, want %q", i, j.State, j.Result, j.Error, want)
		}
		if had, ok := owner[j.SandboxID]; ok && had != j.UserID {
			t.Errorf("sandbox %s served %s and %s", j.SandboxID, had, j.UserID)
		}
		owner[j.SandboxID] = j.UserID
	}
	if n := len(h.model.Requests()); n != jobs {
		t.Errorf("the model was asked %d times, want %d", n, jobs)
	}
}
