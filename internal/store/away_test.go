package store_test

import (
	"testing"
	"time"

	"sandpiper/internal/pgtest"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// TestManyWritesHearAtOnceThatTheDatabaseIsAway: they do not wait for each other's repetitions. While the writes of a hundred
// running prompts were repeated, a caller waited for minutes to be told that his job was not accepted.
func TestManyWritesHearAtOnceThatTheDatabaseIsAway(t *testing.T) {
	const writers = 150
	server := pgtest.New(t, "fsync=off")
	s := storetest.Open(t, server.Database(t))
	storetest.Finished(t, s)
	must(t, server.Stop())
	began, told := time.Now(), make(chan error, writers)
	for range writers {
		go func() {
			_, _, err := s.Submit(t.Context(), storetest.Ann, storetest.New(), store.Key{})
			told <- err
		}()
	}
	for range writers {
		if err := <-told; err == nil || !store.Away(err) {
			t.Fatalf("Submit without a database: %v, want that it is away", err)
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the last of %d writes heard of it after %v", writers, took)
	}
	must(t, server.Start())
	storetest.Finished(t, s)
}
