package redisurl_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sandpiper/internal/queue/redisurl"
	"sandpiper/internal/redistest"
)

// A pool of go-redis that could not dial looks once a second whether it was closed (internal/pool/pool.go, tryDial).
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

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

func TestParseTakesTheFormOfSentinels(t *testing.T) {
	o, err := redisurl.Parse("rediss://watcher:w@10.0.0.1:26379/3?master_name=house&addr=10.0.0.2:26379&username=me&password=p%40ss")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.Addrs, []string{"10.0.0.1:26379", "10.0.0.2:26379"}) || o.MasterName != "house" || o.DB != 3 || o.TLSConfig == nil {
		t.Errorf("Parse = %v of %q, database %d, TLS %v", o.Addrs, o.MasterName, o.DB, o.TLSConfig != nil)
	}
	if o.SentinelUsername != "watcher" || o.SentinelPassword != "w" || o.Username != "me" || o.Password != "p@ss" {
		t.Errorf("sentinels %q %q, servers %q %q", o.SentinelUsername, o.SentinelPassword, o.Username, o.Password)
	}
}

func TestParseTakesTheFormOfACluster(t *testing.T) {
	for url, want := range map[string][]string{
		"redis://me:pw@10.0.0.1:7000?addr=10.0.0.2:7001&addr=10.0.0.3:7002": {"10.0.0.1:7000", "10.0.0.2:7001", "10.0.0.3:7002"},
		"rediss://me:pw@one.example?addr=one.example:6379":                  {"one.example:6379", "one.example:6379"}, // one endpoint for all
	} {
		t.Run(url, func(t *testing.T) {
			o, err := redisurl.Parse(url)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(o.Addrs, want) || !o.IsClusterMode || o.Username != "me" || o.Password != "pw" {
				t.Errorf("Parse = %v, cluster %v, %q %q", o.Addrs, o.IsClusterMode, o.Username, o.Password)
			}
		})
	}
}

func TestEveryFormReachesItsRedis(t *testing.T) {
	secure := redistest.StartTLS(t, "--requirepass", "p@ss")
	address := strings.TrimPrefix(secure.URL(), "rediss://")
	for name, tc := range map[string]struct {
		url   string
		there bool
	}{
		"a certificate that nobody vouches for":          {secure.URL(), false},
		"one that its own file vouches for, no password": {secure.URL() + "?ca_file=" + secure.CA, false},
		"the file and the password":                      {"rediss://:p%40ss@" + address + "?ca_file=" + secure.CA, true},
		"nobody need vouch":                              {"rediss://:p%40ss@" + address + "?skip_verify=true", true},
		"no TLS":                                         {"redis://:p%40ss@" + address, false},
		"Sentinels":                                      {redistest.StartSentinels(t, 1).URL(), true},
		"a Cluster":                                      {redistest.StartCluster(t).URL(), true},
		"Sentinels with TLS":                             {redistest.StartSecureSentinels(t, 1).URL(), true},
		"a Cluster with TLS":                             {redistest.StartSecureCluster(t).URL(), true},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := redisurl.Parse(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			c := redis.NewUniversalClient(redisurl.Plain(o))
			defer c.Close()
			if err := c.Set(t.Context(), "key", "value", 0).Err(); (err == nil) != tc.there {
				t.Errorf("set: %v, want it to work: %v", err, tc.there)
			}
		})
	}
}

func TestACAThatCannotBeUsedIsNamed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "hunter2.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]string{
		"no such file":   "rediss://host?ca_file=/no/hunter2",
		"no certificate": "rediss://host?ca_file=" + empty,
		"no TLS":         "redis://host?ca_file=" + empty,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := redisurl.Parse(url); !errors.Is(err, redisurl.ErrCA) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Parse: %v, want ErrCA", err)
			}
		})
	}
}

func TestAFaultNeverQuotesTheURL(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://:hunter2@host", "redis://:hunter2@host/x", "redis://:hun/ter2@host",
		"redis://:hunter2%zz@host", "redis://:hunter2@host:port",
		"redis://:hunter2@host?master_name=", "redis://:hunter2@host?master_name=m&addr=nowhere", "redis://:hunter2@host/1?addr=b:1",
		"redis://:hunter2@host?addr=b", "redis://:hunter2@host?master=hunter2", "http://:hunter2@host?addr=b:1", "redis://:hunter2@host?%zz",
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
