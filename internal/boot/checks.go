package boot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sandpiper/internal/httpapi"
)

// checks are what /readyz looks at. To keep what is accepted only SQL is needed, so nothing else makes an API unready: it
// costs delay while it is away. A worker that lacks something cannot do its work, and says so. The model API is asked by
// sandboxes, whose network is not this process's: that it does not answer here is worth a look, and proves nothing.
func (h *House) checks() []httpapi.Check {
	worker := !h.serves()
	needed := worker && !h.cfg.Noop() // a sandbox, and in it the model
	all := []httpapi.Check{
		{
			Name: "database", Required: true, Probe: h.pingStore,
			Away: "away: no job can be accepted, shown or finished until it answers",
		},
		{
			Name: "redis", Required: worker, Probe: h.pingRedis,
			Away: "away: jobs are taken from the database, and start up to a second later",
		},
	}
	if h.platform != nil {
		all = append(all, httpapi.Check{
			Name: "sandboxes", Required: needed, Probe: remember(platformProbe, probeOf(strings.TrimSuffix(h.platformURL, "/")+"/health")),
			Away: "away: the sandbox platform does not answer; prompts that run go on, others wait",
		})
	}
	switch {
	case h.model != nil:
		all = append(all, httpapi.Check{
			Name: "model", Probe: probeOf(h.model.url()),
			Away: "away: the offline model does not answer; restart sandpiper up",
		})
	case needed:
		all = append(all, httpapi.Check{
			Name: "model", Probe: remember(platformProbe, probeOf(cmp.Or(h.cfg.AnthropicURL, "https://api.anthropic.com"))),
			Away: "away: the model API does not answer this worker; where it does not answer the sandboxes either, prompts are asked again, and fail when that does not help",
		})
	}
	return all
}

// platformProbe is how long the platform's answer is remembered: whoever asks us often does not ask it as often.
const platformProbe = 10 * time.Second

// probeOf is a probe of an HTTP server. It sends no key: too many refusals of one would lock us out.
func probeOf(url string) func(context.Context) error {
	c := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode >= http.StatusInternalServerError {
			return fmt.Errorf("it answers %d", resp.StatusCode)
		}
		return nil
	}
}

// remember asks at most once in d, and once at a time; in between everybody gets the last answer. What is away is
// asked again after a second, since its return is news.
func remember(d time.Duration, probe func(context.Context) error) func(context.Context) error {
	turn := make(chan struct{}, 1)
	var next time.Time
	var last error
	return func(ctx context.Context) error {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return ctx.Err()
		}
		if time.Now().Before(next) {
			return last
		}
		err := probe(ctx)
		if errors.Is(err, context.Canceled) {
			return err // whoever asked has gone: that says nothing
		}
		last, next = err, time.Now().Add(d)
		if err != nil {
			next = time.Now().Add(min(d, time.Second))
		}
		return err
	}
}
