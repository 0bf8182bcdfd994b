package storetest

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var keyFacts = []fact{
	{"a key that comes with another body says what it made", keySaysWhatItMade},
	{"32 creations of a sandbox with one key make one sandbox", sandboxKeyRaced},
	{"the first answer to a key is answered again, whatever became of the sandbox", firstAnswerStays},
	{"a refused creation of a sandbox leaves its key free", refusedKeyIsFree},
	{"keys are forgotten when they are old, a batch at a time", keysAreForgotten},
}

var key = store.Key{Name: "k", Fingerprint: []byte("a")}

func once(t testing.TB, s *store.Store) (sb job.Sandbox, first store.Answer, replayed bool) {
	t.Helper()
	sb, first, replayed, err := s.AddSandboxOnce(t.Context(), Ann, job.Sandbox{ID: job.NewSandboxID()}, key, job.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return sb, first, replayed
}

func keySaysWhatItMade(t *testing.T, s *store.Store) {
	j, _, err := s.Submit(t.Context(), Ann, New(), store.Key{Name: "job", Fingerprint: []byte("a")})
	if err != nil {
		t.Fatal(err)
	}
	sb, _, _ := once(t, s)
	submit := func(k store.Key) error { _, _, err := s.Submit(t.Context(), Ann, New(), k); return err }
	add := func(k store.Key) error {
		_, _, _, err := s.AddSandboxOnce(t.Context(), Ann, job.Sandbox{ID: job.NewSandboxID()}, k, job.Limits{})
		return err
	}
	for name, tc := range map[string]struct {
		err  error
		want job.KeyReused
	}{
		"a job's, with another body":    {submit(store.Key{Name: "job", Fingerprint: []byte("b")}), job.KeyReused{JobID: j.ID}},
		"a sandbox', with another body": {add(store.Key{Name: "k", Fingerprint: []byte("b")}), job.KeyReused{SandboxID: sb.ID}},
		"a job's, for a sandbox":        {add(store.Key{Name: "job", Fingerprint: []byte("a")}), job.KeyReused{JobID: j.ID}},
		"a sandbox', for a job":         {submit(key), job.KeyReused{SandboxID: sb.ID}},
	} {
		var got job.KeyReused
		if !errors.As(tc.err, &got) || got != tc.want || !errors.Is(tc.err, job.ErrKeyReused) {
			t.Errorf("%s: %v, want %+v", name, tc.err, tc.want)
		}
	}
}

func sandboxKeyRaced(t *testing.T, s *store.Store) {
	const n = 32
	var made atomic.Int64
	ids := make([]string, n)
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			sb, _, replayed, err := s.AddSandboxOnce(t.Context(), Ann, job.Sandbox{ID: job.NewSandboxID()}, key, job.Limits{})
			if !replayed {
				made.Add(1)
			}
			ids[i] = sb.ID
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	boxes, err := s.Sandboxes(t.Context(), Ann, 100)
	if err != nil || len(boxes) != 1 || made.Load() != 1 {
		t.Fatalf("%d sandboxes, %d of %d creations new, %v; want one", len(boxes), made.Load(), n, err)
	}
	for _, id := range ids {
		if id != boxes[0].ID {
			t.Errorf("a creation got %s, want %s", id, boxes[0].ID)
		}
	}
}

func firstAnswerStays(t *testing.T, s *store.Store) {
	sb, first, replayed := once(t, s)
	if replayed || first.Status != 0 {
		t.Fatalf("the first: replayed %v, answered %+v", replayed, first)
	}
	// The process dies before it has answered: the next one makes no second sandbox, and has nothing to repeat.
	if again, first, replayed := once(t, s); again.ID != sb.ID || !replayed || first.Status != 0 {
		t.Fatalf("without an answer: %s, replayed %v, answered %+v", again.ID, replayed, first)
	}
	want := store.Answer{Status: 201, Body: []byte("{}\x00\xff")}
	for _, a := range []store.Answer{want, {Status: 202, Body: []byte("later")}} {
		kept, err := s.KeepAnswer(t.Context(), Ann.Tenant, Ann.UserID, key, a)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "what is to be answered", kept, want)
	}
	if err := s.SandboxGone(t.Context(), sb.ID, "deleted"); err != nil {
		t.Fatal(err)
	}
	again, first, replayed := once(t, s)
	same(t, "the first answer", first, want)
	if again.ID != sb.ID || !replayed {
		t.Errorf("got %s, replayed %v", again.ID, replayed)
	}
	other := store.Answer{Status: 201, Body: []byte("other")}
	if kept, err := s.KeepAnswer(t.Context(), Bob.Tenant, Bob.UserID, key, other); err != nil || kept.Status != 201 || string(kept.Body) != "other" {
		t.Errorf("an answer to a key that nobody took: %+v, %v", kept, err)
	}
}

func refusedKeyIsFree(t *testing.T, s *store.Store) {
	_, _, _, err := s.AddSandboxOnce(t.Context(), Bob, job.Sandbox{ID: job.NewSandboxID(), UserID: "ann"}, key, job.Limits{})
	if !errors.Is(err, job.ErrForbidden) {
		t.Fatal(err)
	}
	if _, _, replayed := once(t, s); replayed {
		t.Error("the key of a refused creation is taken")
	}
}

func keysAreForgotten(t *testing.T, s *store.Store) {
	for _, name := range []string{"a", "b", "c"} {
		if _, _, err := s.Submit(t.Context(), Ann, New(), store.Key{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		age  time.Duration
		want int
	}{{time.Hour, 0}, {-time.Second, 2}, {-time.Second, 1}, {-time.Second, 0}} {
		if n, err := s.ForgetKeys(t.Context(), tc.age, 2); err != nil || n != tc.want {
			t.Errorf("forgot %d keys older than %v, %v; want %d", n, tc.age, err, tc.want)
		}
	}
	if _, replayed, err := s.Submit(t.Context(), Ann, New(), store.Key{Name: "a"}); err != nil || replayed {
		t.Errorf("a forgotten key: replayed %v, %v; want a new job", replayed, err)
	}
}
