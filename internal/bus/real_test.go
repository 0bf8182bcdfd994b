package bus_test

import (
	"testing"
	"time"

	"sandpiper/internal/bus"
	"sandpiper/internal/job"
	"sandpiper/internal/queue/redisurl"
	"sandpiper/internal/redistest"
)

// at is a bus on the Redis at url, which runs until t ends and notices silence soon.
func at(t *testing.T, url string) *bus.Bus {
	t.Helper()
	o, err := redisurl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redisurl.Quick(o)
	t.Cleanup(func() { c.Close() })
	b := bus.New(c, bus.Options{Quiet: 200 * time.Millisecond})
	start(t, b)
	return b
}

// reaches publishes at one bus until the other hears it.
func reaches(t *testing.T, from *bus.Bus, news <-chan job.News, id string) {
	t.Helper()
	until(t, func() bool {
		from.Publish(t.Context(), job.News{JobID: id})
		for len(news) > 0 {
			if (<-news).JobID == id {
				return true
			}
		}
		return false
	})
}

// On each kind of real Redis: news travels, and travels again after what happens there. Whoever listens was told
// meanwhile to read again.
func TestNewsTravelsOnEveryKindOfRedisAndAgainAfterwards(t *testing.T) {
	for name, what := range map[string]func(t *testing.T) (url string, harm, heal func()){
		"a restart": func(t *testing.T) (string, func(), func()) {
			s := redistest.Start(t)
			return s.URL(), func() { s.Stop(t) }, func() { s.Restart(t) }
		},
		"silence": func(t *testing.T) (string, func(), func()) {
			s := redistest.Start(t)
			return s.URL(), func() { s.Pause(t) }, func() { s.Resume(t) }
		},
		"slow answers": func(t *testing.T) (string, func(), func()) {
			slow := redistest.StartSlow(t, redistest.Start(t).Addr())
			return slow.URL(), func() { slow.Delay(time.Second) }, func() { slow.Delay(0) }
		},
		"TLS, and a restart": func(t *testing.T) (string, func(), func()) {
			s := redistest.StartTLS(t)
			return s.URL() + "?ca_file=" + s.CA, func() { s.Stop(t) }, func() { s.Restart(t) }
		},
		"Sentinels, and a master that is gone for good": func(t *testing.T) (string, func(), func()) {
			w := redistest.StartSentinels(t, 3)
			return w.URL(), func() { w.Master.Stop(t) }, func() {}
		},
		"Sentinels, and a master that is silent for good": func(t *testing.T) (string, func(), func()) {
			w := redistest.StartSentinels(t, 3)
			return w.URL(), func() { w.Master.Pause(t) }, func() {}
		},
		"a Cluster, and the channel's node restarts": func(t *testing.T) (string, func(), func()) {
			c := redistest.StartCluster(t)
			s := c.Of(t, "sandpiper:news")
			return c.URL(), func() { s.Stop(t) }, func() { s.Restart(t) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, harm, heal := what(t)
			a, b := at(t, url), at(t, url)
			news := settled(t, b)
			reaches(t, a, news, "before")
			harm()
			own := settled(t, a)
			a.Publish(t.Context(), job.News{JobID: "meanwhile"})
			wanted(t, nextReal(t, own), "meanwhile") // in the same process nobody waits for Redis
			until(t, func() bool { a.Publish(t.Context(), job.News{JobID: "lost"}); return a.Drops() > 0 })
			window := time.After(600 * time.Millisecond) // both have pinged, heard nothing and subscribed again in vain
			<-window
			heal()
			told := false
			until(t, func() bool {
				a.Publish(t.Context(), job.News{JobID: "after"})
				for len(news) > 0 {
					n := <-news
					told = told || n == job.News{}
					if n.JobID == "after" {
						return true
					}
				}
				return false
			})
			if !told {
				t.Error("nobody was told to read again")
			}
		})
	}
}
