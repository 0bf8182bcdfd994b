package boot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"

	"sandpiper/internal/bus"
	"sandpiper/internal/config"
	"sandpiper/internal/daytona"
	"sandpiper/internal/dispatch"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/localdaytona"
	"sandpiper/internal/pool"
	"sandpiper/internal/queue"
	"sandpiper/internal/queue/monitor"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
	"sandpiper/internal/telemetry"
	"sandpiper/internal/worker"
	"sandpiper/snapshot"
)

// Options are what a house needs besides its configuration.
type Options struct {
	Log      *slog.Logger // nil means slog.Default()
	Progress io.Writer    // told of long work at the start, such as an installation; nil means nobody

	// Habits changes what the worker does by itself; nil changes nothing. It is for tests, which cannot wait for
	// backoffs and timeouts.
	Habits func(*worker.Options)

	// Local changes the local Daytona's habits likewise.
	Local func(*localdaytona.Options)
}

// House is a program of ours, open: what its role needs and, in up, every embedded default that the configuration does
// not replace. Run runs it; Close closes what is left.
type House struct {
	cfg config.Config
	log *slog.Logger

	lock         *dataLock
	claude       string // path of the claude binary for local sandboxes
	local        *localdaytona.Server
	localAt      net.Listener
	model        *modelProcess
	queue        *queue.Queue
	hinted       <-chan job.News // for the queue
	lookout      *queue.Lookout
	monitor      *monitor.Monitor
	bus          *bus.Bus
	platform     *daytona.Client
	platformURL  string // its API's base
	server       *httpapi.Server
	at           net.Listener
	metrics      *telemetry.Metrics
	habits       func(*worker.Options)
	localHabits  func(*localdaytona.Options)
	reached      chan struct{} // closed when the database is there, and everything below is open
	store        *store.Store
	installation string
	snapshot     string // of new sandboxes
	name         string // of this worker, on leases
	pool         *pool.Pool
	keeper       *pool.Keeper
	warden       *pool.Warden
	usher        *pool.Usher
	warmer       *pool.Warmer   // nil where jobs have no sandboxes
	reaper       *pool.Reaper   // nil where sandboxes may be idle for ever
	follower     *pool.Follower // nil where the configuration names the snapshot, or the embedded Daytona has its own
	forgetter    *dispatch.Forgetter
	worker       *worker.Worker
	sweeper      *dispatch.Sweeper
	pruner       *dispatch.Pruner
	governor     *dispatch.Governor
	batcher      *dispatch.Batcher
	relay        *relay.Relay
	hintsLost    func() int64

	close []func() error // in the order of opening
}

// Open opens a house of the configuration's role, in the order in which its parts depend on each other. When it fails,
// nothing stays open. A database that is a server may be away: Run waits for it, and for what stands on it.
func Open(ctx context.Context, cfg config.Config, o Options) (*House, error) {
	h := &House{
		cfg: cfg, log: cmp.Or(o.Log, slog.Default()), metrics: telemetry.NewMetrics(), habits: o.Habits,
		localHabits: o.Local, reached: make(chan struct{}),
	}
	progress := o.Progress
	if progress == nil {
		progress = io.Discard
	}
	parts := h.ground(progress)
	if !cfg.Postgres() { // a file is there, or it is a fault
		parts = append(append(parts, part{"database", h.openStore}), h.upper()...)
	}
	if err := open(ctx, parts); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if !cfg.Postgres() {
		close(h.reached)
	}
	return h, nil
}

// Close closes whatever is open, the newest first. A house that ran has nothing left in it.
func (h *House) Close() error {
	var faults []error
	for i := len(h.close) - 1; i >= 0; i-- {
		faults = append(faults, h.close[i]())
	}
	h.close = nil
	return errors.Join(faults...)
}

// URL is where the house answers, seen from this machine: the API, or a worker's probes.
func (h *House) URL() string {
	at := h.at.Addr().(*net.TCPAddr)
	if at.IP.IsUnspecified() { // listens everywhere, and that is no place to call
		return fmt.Sprintf("http://127.0.0.1:%d", at.Port)
	}
	return "http://" + at.String()
}

// Keyed reports whether callers of the API need a key or a token.
func (h *House) Keyed() bool { return h.cfg.Keyed() }

// Reached is closed when the database has been reached, and everything is open.
func (h *House) Reached() <-chan struct{} { return h.reached }

// Data is the data directory.
func (h *House) Data() string { return h.cfg.Data }

// Offline reports whether the offline model answers, in this house or where `sandpiper model` serves it.
func (h *House) Offline() bool {
	return h.cfg.OfflineModel() || h.cfg.AnthropicKey.Reveal() == noKey
}

func (h *House) closing(f func() error) { h.close = append(h.close, f) }

func (h *House) openData(context.Context) error {
	lock, err := lockData(h.cfg.Data)
	if err != nil {
		return err
	}
	h.lock = lock
	h.closing(lock.release)
	return nil
}

func (h *House) openAddress(context.Context) (err error) {
	if h.at, err = listen(h.cfg.Addr); err != nil {
		return err
	}
	h.closing(func() error { return ignoreClosed(h.at.Close()) })
	return nil
}

func (h *House) openClaude(ctx context.Context, progress io.Writer) (err error) {
	switch {
	case !h.cfg.LocalDaytona(), h.cfg.Noop():
		return nil
	case h.cfg.Claude != "":
		h.claude, err = filepath.Abs(h.cfg.Claude)
		h.warnOfVersion(ctx)
		return err
	}
	h.claude, err = snapshot.Install(ctx, h.cfg.Data, progress)
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
