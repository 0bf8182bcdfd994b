package boot

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"sandpiper/internal/bus"
	"sandpiper/internal/claude"
	"sandpiper/internal/daytona"
	"sandpiper/internal/dispatch"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/queue"
	"sandpiper/internal/queue/monitor"
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
// without one. Where `sandpiper model` serves it, it says to set this one.
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
	parsed, err := redisurl.Parse(url)
	if err != nil {
		return err
	}
	client := redisurl.Quick(parsed)
	h.closing(client.Close)
	h.bus = bus.New(client, bus.Options{})
	o := queue.Options{Alone: alone, Log: h.log}
	if !alone {
		o.Tell = func() { h.bus.Publish(context.Background(), job.News{Hinted: true}) }
	}
	if h.queue, err = queue.Open(url, o); err != nil {
		return err
	}
	h.closing(h.queue.Close)
	if h.serves() {
		if h.monitor, err = monitor.Open(url); err != nil {
			return err
		}
		h.closing(h.monitor.Close)
	}
	h.lookout = queue.NewLookout(h.queue, queue.LookoutOptions{Log: h.log})
	return h.lookout.Turn(ctx) // one that is away is waited for, in Run
}

// openStore opens the database and reads what this deployment is. The lock of a file, like that of the data directory,
// says that no other worker lives: every lease of an earlier process is void, and what it left is taken up at once. A
// server may have other workers.
func (h *House) openStore(ctx context.Context) (err error) {
	s, err := store.Open(ctx, h.cfg.Database(), store.Options{
		News: h.bus, Log: h.log, Committed: h.metrics.Committed, Migrate: h.migrates(),
	})
	if err != nil {
		return err
	}
	if h.installation, err = s.Installation(ctx); err == nil && h.works() {
		err = h.chooseSnapshot(ctx, s)
	}
	if err == nil && !h.cfg.Postgres() {
		err = h.voidLeases(ctx, s)
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	h.store = s
	h.closing(s.Close)
	return nil
}

func (h *House) voidLeases(ctx context.Context, s *store.Store) error {
	left, err := s.VoidLeases(ctx, lease)
	if left > 0 {
		h.log.InfoContext(ctx, "jobs of an earlier process are looked into", "jobs", left)
	}
	return err
}

func (h *House) openWorker(context.Context) error {
	policy := snapshot.Policy()
	settings, err := json.Marshal(policy)
	if err != nil {
		return err
	}
	h.metrics.SetKey(h.keyLabel())
	idle := time.Duration(h.cfg.IdleMinutes) * time.Minute
	h.pool = pool.New(h.platform, h.store, pool.Options{
		Snapshot: h.snapshot, Key: h.modelKey(), Policy: string(settings), Installation: h.installation,
		Idle: idle, Created: h.metrics.SandboxCreated, Log: h.log,
	})
	h.name = "worker_" + job.NewToken()
	o := worker.Options{
		Name: h.name, Slots: h.cfg.Concurrency, PerUser: h.cfg.UserConcurrency, Limits: h.limits(), Lease: lease, Key: h.keyLabel(), BaseURL: h.baseURL(), Offline: h.Offline(), Noop: h.cfg.Noop(),
		Policy:   claude.Policy{Tools: policy.Tools, Allowed: policy.Allowed, Settings: string(policy.Settings)},
		Secrets:  []string{h.cfg.AnthropicKey.Reveal(), h.cfg.DaytonaKey.Reveal(), h.cfg.JWTSecret.Reveal()},
		KeepRuns: days(h.cfg.KeepRuns), Retries: h.cfg.Retries, Gather: time.Duration(h.cfg.GatherMillis) * time.Millisecond, News: h.listen(), Metrics: h.metrics, Log: h.log,
	}
	if h.habits != nil {
		h.habits(&o)
	}
	if h.worker, err = worker.New(h.store, h.pool, o); err != nil {
		return err
	}
	h.governor = dispatch.NewGovernor(h.store, o.Key, dispatch.GovernorOptions{Holder: h.name, Log: h.log})
	h.batcher = dispatch.NewBatcher(h.store, dispatch.BatcherOptions{Holder: h.name, Log: h.log})
	h.keeper = pool.NewKeeper(h.pool, h.store, pool.KeeperOptions{Worker: h.name, Limits: h.limits(), News: h.listen(), Log: h.log})
	h.pruner = dispatch.NewPruner(h.store, dispatch.PrunerOptions{Keep: days(h.cfg.KeepEvents), Holder: h.name, Log: h.log})
	if h.local == nil && h.cfg.Snapshot == "" {
		h.follower = pool.NewFollower(h.pool, h.store, pool.FollowerOptions{Log: h.log})
	}
	h.usher = pool.NewUsher(h.store, h.pool.Fresh, pool.UsherOptions{Holder: h.name, Limits: h.limits(), News: h.listen(), Reaped: h.metrics.SandboxesReaped, Log: h.log})
	if !h.cfg.Noop() {
		h.warmer = pool.NewWarmer(h.store, h.pool.Fresh, pool.WarmerOptions{Holder: h.name, Most: h.cfg.WarmSandboxes, Limits: h.limits(), News: h.listen(), Reaped: h.metrics.SandboxesReaped, Log: h.log})
	}
	if idle > 0 {
		h.reaper = pool.NewReaper(h.store, pool.ReaperOptions{Holder: h.name, Idle: idle, Reaped: h.metrics.SandboxesReaped, Log: h.log})
	}
	h.warden = pool.NewWarden(h.pool, h.store, pool.WardenOptions{Holder: h.name, Log: h.log})
	h.forgetter = dispatch.NewForgetter(h.store, dispatch.ForgetterOptions{
		Keep: time.Duration(h.cfg.KeyHours) * time.Hour, Holder: h.name, Log: h.log,
	})
	h.hinted = h.listen()
	h.sweeper = dispatch.NewSweeper(h.store, h.queue, h.worker, dispatch.SweeperOptions{
		Lease: lease, TrustLeases: !h.cfg.Postgres(), Holder: h.name, PerUser: h.cfg.UserConcurrency, Wake: h.listen(), Log: h.log,
	})
	return nil
}

// limits are how many sandboxes there may be.
func (h *House) limits() job.Limits {
	return job.Limits{All: h.cfg.MaxSandboxes, PerUser: h.cfg.MaxUserSandboxes}
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// modelKey is what sandboxes have for a key.
func (h *House) modelKey() string {
	if h.cfg.OfflineModel() {
		return noKey
	}
	return h.cfg.AnthropicKey.Reveal()
}

// keyLabel is what metrics call the key of the model API.
func (h *House) keyLabel() string {
	if h.Offline() {
		return "offline"
	}
	return telemetry.Fingerprint(h.installation, h.cfg.AnthropicKey.Reveal())
}

// listen hears the news until the house closes.
func (h *House) listen() <-chan job.News {
	news, stop := h.bus.Listen()
	h.closing(func() error { stop(); return nil })
	return news
}

// baseURL is where a sandbox reaches the model; "" is the CLI's own default.
func (h *House) baseURL() string {
	if h.model != nil {
		return h.model.url()
	}
	return h.cfg.AnthropicURL
}

// openServer makes the HTTP server, which answers before the database does: it says what is away.
func (h *House) openServer(context.Context) error {
	d := httpapi.Deps{Checks: h.checks(), Watch: h.metrics, Metrics: h.metrics.Handler()}
	keys, err := h.cfg.Keyring()
	if err != nil {
		return err
	}
	o := httpapi.Options{Hosts: h.cfg.HostList(), Origins: origins(h.cfg.HostList()), Limits: h.limits(), Log: h.log}
	if h.serves() {
		d.Keys, d.Queues = keys, h.monitor
		h.server = httpapi.New(d, o)
	} else {
		h.server = httpapi.NewProbes(d, o)
	}
	return nil
}

// openAPI furnishes the server. A sandbox that is asked for is described by the worker that makes it.
func (h *House) openAPI(context.Context) error {
	h.relay = relay.New(h.store, h.bus, relay.Options{Log: h.log})
	jobs := dispatch.New(h.store, h.queue, dispatch.Options{Log: h.log})
	h.server.Furnish(httpapi.Deps{Jobs: jobs, Batches: dispatch.NewUploader(h.store), Reads: h.store, Sandboxes: h.store, Lanes: h.store, Answers: h.store, Relay: h.relay})
	h.hintsLost = jobs.Lost
	return nil
}

// watch shows the figures that the parts of this house keep.
func (h *House) watch() {
	s := telemetry.Sources{Jobs: h.store.Counts, Lanes: h.store.Lanes, NewsDropped: h.bus.Drops, HintsLost: h.hintsLost}
	if h.worker != nil {
		s.Slots = h.worker.Slots
	}
	h.metrics.Watch(s)
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
