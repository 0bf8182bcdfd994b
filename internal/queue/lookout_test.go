package queue_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/queue"
	"sandpiper/internal/queue/redisurl"
	"sandpiper/internal/redistest"
)

// notes are what a lookout logs.
type notes struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(p)
}

func (n *notes) count(text string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.buf.String(), text)
}

// lookout runs one for the Redis at url until it returns or the test ends.
func lookout(t *testing.T, url string) (q *queue.Queue, said *notes, ended <-chan error) {
	t.Helper()
	q, said = open(t, url), &notes{}
	l := queue.NewLookout(q, queue.LookoutOptions{Every: 20 * time.Millisecond, Log: slog.New(slog.NewTextHandler(said, nil))})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	result, gone := make(chan error, 1), make(chan struct{})
	go func() { defer close(gone); result <- l.Run(ctx) }()
	t.Cleanup(func() { stop(); <-gone })
	return q, said, result
}

// blind is a user who is told nothing.
var blind = []string{"--user", "me", "on", ">pw", "~*", "&*", "+@all", "-info", "-config"}

func TestOnlyARedisThatKeepsHintsWillDo(t *testing.T) {
	for name, tc := range map[string]struct {
		options []string
		user    string // before the host
		want    error
	}{
		"noeviction":  {nil, "", nil},
		"allkeys-lru": {[]string{"--maxmemory-policy", "allkeys-lru"}, "", queue.ErrPolicy},
		"where CONFIG is refused, INFO tells": {
			[]string{"--maxmemory-policy", "volatile-ttl", "--rename-command", "CONFIG", ""}, "", queue.ErrPolicy,
		},
		"where INFO is refused, CONFIG tells": {
			[]string{"--maxmemory-policy", "allkeys-lfu", "--user", "me", "on", ">pw", "~*", "&*", "+@all", "-info"}, "me:pw@", queue.ErrPolicy,
		},
		"where both are refused, nobody does": {
			append([]string{"--maxmemory-policy", "allkeys-lru"}, blind...), "me:pw@", queue.ErrPolicyHidden,
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := open(t, "redis://"+tc.user+redistest.Start(t, tc.options...).Addr())
			push(t, q, hint("job_1", 0)) // it is there
			if err := q.Policy(t.Context()); !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Errorf("Policy: %v, want %v", err, tc.want)
			}
		})
	}
}

func TestEveryMasterOfAClusterMustKeepHints(t *testing.T) {
	c := redistest.StartCluster(t)
	q := open(t, c.URL())
	push(t, q, hint("job_1", 0))
	if err := q.Policy(t.Context()); err != nil {
		t.Errorf("Policy: %v", err)
	}
	for _, s := range c.Nodes {
		s.Do(t, "config", "set", "maxmemory-policy", "allkeys-random")
		if err := q.Policy(t.Context()); !errors.Is(err, queue.ErrPolicy) || !strings.Contains(err.Error(), "allkeys-random") {
			t.Errorf("one of three evicts: %v, want ErrPolicy", err)
		}
		s.Do(t, "config", "set", "maxmemory-policy", "noeviction")
	}
}

func TestARedisThatCannotBeUsedIsRefusedWhenItFirstAnswers(t *testing.T) {
	s := redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	s.Stop(t)
	_, said, ended := lookout(t, s.URL())
	until(t, "it is missed", func() bool { return said.count("redis is away") == 1 })
	s.Restart(t)
	err := next(t, ended, "the refusal")
	for _, part := range []string{"maxmemory-policy", "noeviction", "now allkeys-lru"} {
		if !errors.Is(err, queue.ErrPolicy) || !strings.Contains(err.Error(), part) {
			t.Errorf("Run: %v, want ErrPolicy with %q", err, part)
		}
	}
}

func TestARedisThatHidesItsPolicyIsUsedWithAWarning(t *testing.T) {
	s := redistest.Start(t, blind...)
	q, said, _ := lookout(t, "redis://me:pw@"+s.Addr())
	until(t, "it is warned of", func() bool { return said.count("nobody can say") == 1 })
	push(t, q, hint("job_1", 0))
	s.Stop(t)
	until(t, "it is missed", func() bool { return said.count("redis is away") == 1 })
	s.Restart(t)
	until(t, "it is back", func() bool { return said.count("redis is back") == 1 })
	if n := said.count("nobody can say"); n != 1 {
		t.Errorf("warned %d times", n)
	}
}

func TestALossIsSaidOnceAndSoIsTheReturn(t *testing.T) {
	s := redistest.Start(t)
	_, said, _ := lookout(t, s.URL())
	for round := 1; round <= 2; round++ {
		for name, move := range map[string][2]func(testing.TB){"restart": {s.Stop, s.Restart}, "silence": {s.Pause, s.Resume}} {
			before := said.count("redis is away")
			move[0](t)
			until(t, name+" is noticed", func() bool { return said.count("redis is away") > before })
			window := time.After(500 * time.Millisecond) // more questions without an answer
			<-window
			move[1](t)
			until(t, name+" is over", func() bool { return said.count("redis is back") > before })
			if away, back := said.count("redis is away"), said.count("redis is back"); away != before+1 || back != away {
				t.Errorf("%s: said %d times that it is away and %d that it is back, want %d each", name, away-before, back-before, 1)
			}
		}
	}
}

func TestNoPushWaitsForARedisThatIsKnownToBeAway(t *testing.T) {
	s := redistest.Start(t)
	q, said, _ := lookout(t, s.URL())
	push(t, q, hint("job_1", 0))
	s.Pause(t)
	until(t, "it is missed", func() bool { return said.count("redis is away") == 1 })
	begun := time.Now()
	for i := range int64(100) {
		if err := q.Push(t.Context(), hint("job_2", i)); err == nil {
			t.Fatal("a push to nowhere: no error")
		}
	}
	if took := time.Since(begun); took > redisurl.Patience+allowance {
		t.Errorf("100 pushes took %v: each waits for itself", took)
	}
	s.Resume(t)
	push(t, q, hint("job_3", 0))
}

func TestAFullRedisCountsAsAway(t *testing.T) {
	s := redistest.Start(t)
	q, said, _ := lookout(t, s.URL())
	s.Do(t, "config", "set", "maxmemory", "1")
	until(t, "it is missed", func() bool { return said.count("redis is away") == 1 && said.count("OOM") == 1 })
	s.Do(t, "config", "set", "maxmemory", "0")
	push(t, q, hint("job_1", 0))
}
