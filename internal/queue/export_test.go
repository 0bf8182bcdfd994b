package queue

import (
	"testing"
	"time"
)

// Stop ends the server as Close does, to be started again on the same port.
func (e *Embedded) Stop() { e.redis.Close() }

// Start undoes Stop. What it held is still there.
func (e *Embedded) Start(t testing.TB) {
	t.Helper()
	if err := e.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	e.redis.ClockTTL(true)
}

// Flush deletes everything.
func (e *Embedded) Flush() { e.redis.FlushAll() }

// Commands counts what was asked.
func (e *Embedded) Commands() int { return e.redis.CommandCount() }

// Expire puts a key there for so long.
func (e *Embedded) Expire(t testing.TB, key string, d time.Duration) {
	t.Helper()
	if err := e.redis.Set(key, "here"); err != nil {
		t.Fatal(err)
	}
	e.redis.SetTTL(key, d)
}

// Has reports whether a key is there.
func (e *Embedded) Has(key string) bool { return e.redis.Exists(key) }

// Has no others: what a test needs to know of asynq's own keys.
const ActiveKey = "asynq:{interactive}:active"

// Members lists a list.
func (e *Embedded) Members(key string) []string {
	all, _ := e.redis.List(key) // an absent list is empty
	return all
}
