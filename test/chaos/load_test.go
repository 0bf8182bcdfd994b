package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// order is what a prompt's first line asks of the stand-in; its twin is in standin.
type order struct {
	Job     string `json:"job"`
	Millis  int    `json:"millis"`
	Words   int    `json:"words"`
	Retries int    `json:"retries"`
	Free    int    `json:"free"`
	Key     bool   `json:"key"`
}

// answer is what the stand-in says, as a user may see it.
func (o order) answer() string {
	var b strings.Builder
	b.WriteString("The answer to " + o.Job + " is")
	for i := range o.Words {
		fmt.Fprintf(&b, " %d", i)
	}
	if o.Key {
		b.WriteString(" and the key is [secret] ")
	}
	return b.String()
}

// task is one job that is to be submitted, and what its submitter knows of it afterwards.
type task struct {
	order
	user     string
	input    string
	stream   bool
	priority string
	at       time.Duration // after the load began
	twice    bool          // sent twice at once, under one key
	cancel   time.Duration // after it was accepted; 0: never

	mu       sync.Mutex
	ids      map[string]bool // that its submissions were given: one, if all is well
	refused  string
	accepted time.Time
}

// tails are texts that a shell, a driver or an encoder might not leave alone.
var tails = []string{
	"What is 2+2?", "$(touch /tmp/ran) `id` ; rm -rf ~ \\", `"quoted" 'twice' \"thrice\" %s %d`, "tabs\tand\r\nlines\n\n", "\x00 NUL \x01",
	"smile 😀 ünïcödé \u202e", "-n --help\n/clear\n@file #memory", strings.Repeat("long ", 400), "EOF\nEOF\n'\n",
}

// tasks are n jobs of twenty users over a time, all from one seed.
func tasks(seed uint64, n int, over time.Duration) []*task {
	r := rand.New(rand.NewPCG(seed, 1))
	all := make([]*task, n)
	chance := func(percent int) bool { return r.IntN(100) < percent }
	for i := range all {
		t := &task{
			order: order{Job: fmt.Sprintf("s%d-%04d", seed, i), Millis: 50 + r.IntN(500), Words: 3 + r.IntN(10), Retries: r.IntN(4)},
			user:  fmt.Sprintf("user%02d", r.IntN(users)), stream: chance(50), twice: chance(5),
			priority: []string{"interactive", "default", "bulk"}[r.IntN(3)],
			at:       time.Duration(int64(over) * int64(i) / int64(n)),
			ids:      map[string]bool{},
		}
		switch {
		case chance(4):
			t.Millis = 5000 + r.IntN(15000)
		case chance(40):
			t.Millis = 500 + r.IntN(2500)
		}
		if chance(5) {
			t.Free = 1
		}
		t.Key = chance(5)
		if chance(5) {
			t.cancel = time.Duration(1+r.IntN(5000)) * time.Millisecond
		}
		t.write(tails[r.IntN(len(tails))])
		all[i] = t
	}
	return all
}

// users are as many as this.
const users = 20

// write makes the prompt.
func (t *task) write(rest string) {
	first, err := json.Marshal(t.order)
	if err != nil {
		panic(err)
	}
	t.input = string(first) + "\n" + rest
}

// id is the job's; "" while it was not accepted.
func (t *task) id() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.ids {
		return id
	}
	return ""
}

// load submits tasks through the apis of a fleet, and insists until each is accepted.
type load struct {
	fronts   []string
	ledger   *ledger
	client   *http.Client
	next     atomic.Int64
	began    time.Time
	all      sync.WaitGroup
	accepted chan *task // each task once, as it is accepted
}

func newLoad(f *fleet, most int) *load {
	l := &load{ledger: f.ledger, accepted: make(chan *task, most)}
	for _, front := range f.fronts {
		l.fronts = append(l.fronts, front.url())
	}
	// A request that nobody answers is sent again, under its key.
	l.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	return l
}

// run submits each task at its time, and returns when all of them are accepted, or refused.
func (l *load) run(ctx context.Context, tasks []*task) {
	l.began = time.Now()
	for _, t := range tasks {
		l.all.Go(func() {
			if !rest(time.Until(l.began.Add(t.at)), ctx.Done()) {
				return
			}
			l.submit(ctx, t)
		})
	}
	l.all.Wait()
}

func (l *load) submit(ctx context.Context, t *task) {
	var both sync.WaitGroup
	if t.twice {
		l.ledger.hit("submitted twice")
		both.Go(func() { l.insist(ctx, t) })
	}
	l.insist(ctx, t)
	both.Wait()
	if t.id() == "" {
		return
	}
	l.accepted <- t
	if t.cancel > 0 && rest(t.cancel, ctx.Done()) {
		l.ledger.hit("cancelled")
		l.cancel(ctx, t)
	}
}

// front is one of the apis, in turn.
func (l *load) front() string { return l.fronts[int(l.next.Add(1))%len(l.fronts)] }

// insist sends a task until it is accepted, or refused for good.
func (l *load) insist(ctx context.Context, t *task) {
	body, err := json.Marshal(map[string]any{
		"userId": t.user, "input": t.input, "stream": t.stream, "priority": t.priority, "timeoutSeconds": 900,
	})
	if err != nil {
		panic(err)
	}
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, time.Second) {
		status, answer := l.post(ctx, "/api/knowledge/process", body, t.Job)
		var given struct{ JobID string }
		switch {
		case status == http.StatusAccepted && json.Unmarshal(answer, &given) == nil && given.JobID != "":
			t.mu.Lock()
			t.ids[given.JobID], t.accepted = true, time.Now()
			t.mu.Unlock()
			return
		case status >= 400 && status < 500 && status != http.StatusTooManyRequests:
			t.mu.Lock()
			t.refused = fmt.Sprintf("%d %s", status, answer)
			t.mu.Unlock()
			return
		}
		rest(pause, ctx.Done())
	}
}

// cancel asks for the end of a job until it is told that it was asked, or that the job had ended.
func (l *load) cancel(ctx context.Context, t *task) {
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, time.Second) {
		status, _ := l.post(ctx, "/api/jobs/"+t.id()+"/cancel?userId="+t.user, nil, "")
		if status/100 == 2 || status == http.StatusConflict {
			return
		}
		rest(pause, ctx.Done())
	}
}

// post sends one request; a status of 0 says that it was not answered.
func (l *load) post(ctx context.Context, path string, body []byte, key string) (status int, answer []byte) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, l.front()+path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		q.Header.Set("Idempotency-Key", key)
	}
	resp, err := l.client.Do(q)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, answer
}

// TestTheLoadComesFromTheSeed, so that a failure can be tried again.
func TestTheLoadComesFromTheSeed(t *testing.T) {
	a, b, other := tasks(7, 200, time.Minute), tasks(7, 200, time.Minute), tasks(8, 200, time.Minute)
	differ := 0
	for i := range a {
		if a[i].input != b[i].input || a[i].user != b[i].user || a[i].cancel != b[i].cancel || a[i].at != b[i].at {
			t.Errorf("task %d is another one the second time", i)
		}
		if a[i].Millis != other[i].Millis {
			differ++
		}
	}
	if differ < 100 {
		t.Errorf("another seed differs in %d of 200 tasks", differ)
	}
}
