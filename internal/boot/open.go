package boot

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"sandpiper/internal/bus"
	"sandpiper/internal/claude"
	"sandpiper/internal/config"
	"sandpiper/internal/daytona"
	"sandpiper/internal/dispatch"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/queue"
	"sandpiper/internal/queue/redisurl"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
	"sandpiper/internal/telemetry"
	"sandpiper/internal/worker"
	"sandpiper/snapshot"
)

// lease is how long a claim holds without a beat. Taking over is free, so it is short.
const lease = 5 * time.Second

// noKey is what a sandbox has for a key when the offline model answers, which asks for none. The CLI does not start
// without one.
const noKey = "the-offline-model-needs-no-key"

// ports are kept in the data directory.
func (h *House) ports() ports { return ports{kept{filepath.Join(h.cfg.Data, "ports.json")}} }

// openSandboxes connects to the Daytona of the configuration, or serves the local one.
func (h *House) openSandboxes(context.Context) error {
	o := daytona.Options{URL: h.cfg.DaytonaURL, Key: h.cfg.DaytonaKey.Reveal(), Target: h.cfg.DaytonaTarget}
	if h.cfg.LocalDaytona() {
		at, err := h.ports().listen("daytona", h.cfg.DaytonaAddr)
		if err != nil {
			return err
		}
		key, err := h.openLocal(at)
		if err != nil {
			return err
		}
		o.URL, o.Key, o.Target = h.localURL(), key, "" // it is no region of a platform
	}
	h.platform, h.platformURL = daytona.New(o), o.URL
	h.closing(func() error { h.platform.Close(); return nil })
	return nil
}

// openModel finds or starts the offline model, when nothing else is to answer.
func (h *House) openModel(context.Context) (err error) {
	if h.cfg.OfflineModel() {
		h.model, err = startModel(h.cfg.Data, h.cfg.ModelAddr, h.ports())
	}
	return err
}

// openQueue connects to Redis, or starts one in this process: SQL is the truth, so it may forget everything.
func (h *House) openQueue(ctx context.Context) error {
	url, alone := h.cfg.RedisURL.Reveal(), h.cfg.EmbeddedRedis()
	if alone {
		embedded, err := queue.OpenEmbedded()
		if err != nil {
			return err
		}
		url = embedded.URL()
		h.closing(func() error { embedded.Close(); return nil })
	}
	q, err := queue.Open(url, queue.Options{Alone: alone, Log: h.log})
	if err != nil {
		return err
	}
	h.queue = q
	h.closing(q.Close)
	parsed, err := redisurl.Parse(url)
	if err != nil {
		return err
	}
	client := redisurl.Quick(parsed)
	h.closing(client.Close)
	h.bus = bus.New(client, bus.Options{})
	h.lookout = queue.NewLookout(q, queue.LookoutOptions{Log: h.log})
	return h.lookout.Turn(ctx) // one that is away is waited for, in Run
}

// openStore opens the database. The data directory's lock says that no other worker lives, so every lease of an
// earlier process is void, and what it left is taken up at once.
func (h *House) openStore(ctx context.Context) error {
	url := h.cfg.DatabaseURL.Reveal()
	if url == "" {
		url = "sqlite:" + filepath.Join(h.cfg.Data, "sandpiper.db")
	}
	s, err := store.Open(ctx, url, store.Options{News: h.bus, Log: h.log, Committed: h.metrics.Committed})
	if err != nil {
		return err
	}
	h.store = s
	h.closing(s.Close)
	left, err := s.VoidLeases(ctx)
	if left > 0 {
		h.log.InfoContext(ctx, "jobs of an earlier process are looked into", "jobs", left)
	}
	return err
}

func (h *House) openWorker(ctx context.Context) error {
	installation, err := h.store.Installation(ctx)
	if err != nil {
		return err
	}
	policy := snapshot.Policy()
	key := h.cfg.AnthropicKey.Reveal()
	if h.cfg.OfflineModel() {
		key = noKey
	}
	settings, err := json.Marshal(policy)
	if err != nil {
		return err
	}
	h.metrics.SetKey(keyLabel(installation, h.cfg))
	h.pool = pool.New(h.platform, h.store, pool.Options{
		Snapshot: h.snapshotName(), Key: key, Policy: string(settings), Installation: installation,
		Created: h.metrics.SandboxCreated, Log: h.log,
	})
	name := "worker_" + job.NewToken()
	o := worker.Options{
		Name: name, Slots: h.cfg.Concurrency, Lease: lease, BaseURL: h.baseURL(), Offline: h.cfg.OfflineModel(), Noop: h.cfg.Noop(),
		Policy:  claude.Policy{Tools: policy.Tools, Allowed: policy.Allowed, Settings: string(policy.Settings)},
		Secrets: []string{h.cfg.AnthropicKey.Reveal(), h.cfg.DaytonaKey.Reveal(), h.cfg.JWTSecret.Reveal()},
		Retries: h.cfg.Retries, News: h.listen(), Metrics: h.metrics, Log: h.log,
	}
	if h.habits != nil {
		h.habits(&o)
	}
	if h.worker, err = worker.New(h.store, h.pool, o); err != nil {
		return err
	}
	h.keeper = pool.NewKeeper(h.pool, h.store, pool.KeeperOptions{Worker: name, News: h.listen(), Log: h.log})
	h.sweeper = dispatch.NewSweeper(h.store, h.queue, h.worker, dispatch.SweeperOptions{
		Lease: lease, TrustLeases: true, Holder: name, Wake: h.listen(), Log: h.log,
	})
	return nil
}

// keyLabel is what metrics call the key of the model API.
func keyLabel(installation string, cfg config.Config) string {
	if cfg.OfflineModel() {
		return "offline"
	}
	return telemetry.Fingerprint(installation, cfg.AnthropicKey.Reveal())
}

// listen hears the news until the house closes.
func (h *House) listen() <-chan job.News {
	news, stop := h.bus.Listen()
	h.closing(func() error { stop(); return nil })
	return news
}

func (h *House) snapshotName() string {
	if h.cfg.Snapshot == "" && h.cfg.LocalDaytona() {
		return snapshot.Name()
	}
	return h.cfg.Snapshot
}

// baseURL is where a sandbox reaches the model; "" is the CLI's own default.
func (h *House) baseURL() string {
	if h.model != nil {
		return h.model.url()
	}
	return h.cfg.AnthropicURL
}

func (h *House) openAPI(context.Context) error {
	h.relay = relay.New(h.store, h.bus, relay.Options{Log: h.log})
	jobs := dispatch.New(h.store, h.queue, dispatch.Options{Log: h.log})
	h.metrics.Watch(telemetry.Sources{
		Jobs: h.store.Counts, Slots: h.worker.Slots, NewsDropped: h.bus.Drops, HintsLost: jobs.Lost,
	})
	keys, err := h.cfg.Keyring()
	if err != nil {
		return err
	}
	h.api = httpapi.New(httpapi.Deps{
		Jobs: jobs, Reads: h.store, Sandboxes: h.store, Relay: h.relay, Keys: keys,
		NewSandbox: func(context.Context) (job.Sandbox, error) { return h.pool.Fresh(), nil },
		Checks:     h.checks(), Watch: h.metrics, Metrics: h.metrics.Handler(),
	}, httpapi.Options{Hosts: h.cfg.HostList(), Origins: origins(h.cfg.HostList()), Log: h.log})
	return nil
}

// pingRedis asks what the lookout asks: a Redis that is full, or may only be read, is of no use either.
func (h *House) pingRedis(ctx context.Context) error {
	_, err := h.queue.Depth(ctx)
	return err
}

// origins are the pages of the configured hosts, with and without TLS.
func origins(hosts []string) []string {
	var all []string
	for _, host := range hosts {
		host = strings.TrimSpace(host)
		all = append(all, "https://"+host, "http://"+host)
	}
	return all
}
