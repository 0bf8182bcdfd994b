package redisurl_test

import (
	"errors"
	"strings"
	"testing"

	"sandpiper/internal/queue/redisurl"
)

func TestParseTakesTheFormsOfOneServer(t *testing.T) {
	for url, want := range map[string]struct {
		addr, user, password string
		db                   int
		tls                  bool
	}{
		"redis://localhost":                 {addr: "localhost:6379"},
		"redis://:secret@10.0.0.1:6380/3":   {addr: "10.0.0.1:6380", password: "secret", db: 3},
		"rediss://me:p%40ss@r.example:7000": {addr: "r.example:7000", user: "me", password: "p@ss", tls: true},
		"unix:///run/redis.sock?db=2":       {addr: "/run/redis.sock", db: 2},
	} {
		t.Run(url, func(t *testing.T) {
			o, err := redisurl.Parse(url)
			if err != nil {
				t.Fatal(err)
			}
			if o.Addrs[0] != want.addr || o.Username != want.user || o.Password != want.password || o.DB != want.db {
				t.Errorf("Parse = %v %q %q %d, want %+v", o.Addrs, o.Username, o.Password, o.DB, want)
			}
			if (o.TLSConfig != nil) != want.tls {
				t.Errorf("TLS = %v, want %v", o.TLSConfig != nil, want.tls)
			}
		})
	}
}

func TestAFaultNeverQuotesTheURL(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://:hunter2@host", "redis://:hunter2@host/x", "redis://:hun/ter2@host",
		"redis://:hunter2%zz@host", "redis://:hunter2@host:port",
	} {
		_, err := redisurl.Parse(url)
		if !errors.Is(err, redisurl.ErrURL) {
			t.Errorf("Parse(%q): %v, want ErrURL", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "hun") {
			t.Errorf("Parse(%q) gives the password away: %v", url, err)
		}
	}
}
