package queue_test

import (
	"net/url"
	"testing"
	"time"
)

func TestEmbeddedLetsKeysExpire(t *testing.T) {
	e := embedded(t)
	e.Expire(t, "soon", 50*time.Millisecond)
	e.Expire(t, "late", time.Hour)
	until(t, "the key has expired", func() bool { return !e.Has("soon") })
	if !e.Has("late") {
		t.Error("a key with an hour to live is gone")
	}
}

func TestEmbeddedWantsItsPassword(t *testing.T) {
	e := embedded(t)
	u, err := url.Parse(e.URL())
	if err != nil {
		t.Fatal(err)
	}
	q := open(t, e.URL())
	until(t, "it is alive with the password", func() bool { return q.Alive(t.Context()) })
	u.User = nil
	if q := open(t, u.String()); q.Alive(t.Context()) {
		t.Error("alive without the password")
	}
}
