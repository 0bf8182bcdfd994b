package pool

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
)

// rows is what the pool writes about sandboxes.
type rows interface {
	SandboxReady(ctx context.Context, made job.Sandbox) error
	SandboxGone(ctx context.Context, id, reason string) error
}

// Options describe the sandboxes of a deployment.
type Options struct {
	Snapshot     string            // until Use says another; "" leaves it to the platform
	Key          string            // the model API's key, for the environment of each sandbox
	Env          map[string]string // further environment, without secrets
	Policy       string            // what the tools may do; part of the fingerprint
	Installation string            // this deployment's id; a label of every sandbox
	MaxTimeout   time.Duration     // the longest a job may run; 0 means job.MaxTimeout
	Idle         time.Duration     // how long a sandbox may be idle before a Reaper gives it up; 0 is for ever
	Created      func(ok bool, took time.Duration)
	Log          *slog.Logger
}

// Pool makes sandboxes and opens them for work.
type Pool struct {
	platform *daytona.Client
	rows     rows
	o        Options

	mu       sync.Mutex
	snapshot string          // of new sandboxes
	open     map[string]*Box // by our id: what is known of sandboxes that were used lately
}

// New returns a pool on a platform.
func New(platform *daytona.Client, r rows, o Options) *Pool {
	o.MaxTimeout = cmp.Or(o.MaxTimeout, job.MaxTimeout)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Created == nil {
		o.Created = func(bool, time.Duration) {}
	}
	return &Pool{platform: platform, rows: r, o: o, snapshot: o.Snapshot, open: map[string]*Box{}}
}

// Fresh describes the sandbox that a claim may add when there is none to be used again.
func (p *Pool) Fresh() job.Sandbox {
	s := p.current()
	return job.Sandbox{ID: job.NewSandboxID(), Snapshot: s, Fingerprint: p.fingerprint(s), Pooled: true}
}

// Use makes new sandboxes from another snapshot from now on, and says whether it is another. Pooled ones of the one before
// have another fingerprint, and are not used again.
func (p *Pool) Use(snapshot string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.snapshot
	p.snapshot = snapshot
	return snapshot != before
}

func (p *Pool) current() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snapshot
}

// fingerprint is what a pooled sandbox must have in common with the present configuration to be used again. The
// key goes in as a keyed hash: the column must not help anybody to guess it.
func (p *Pool) fingerprint(snapshot string) string {
	names := make([]string, 0, len(p.o.Env))
	for name, value := range p.o.Env {
		names = append(names, name+"="+value)
	}
	slices.Sort(names)
	h := hmac.New(sha256.New, []byte(p.o.Installation))
	fmt.Fprintf(h, "%q", []string{snapshot, strings.Join(names, "\x00"), p.o.Policy, p.o.Key})
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Open makes sb usable: it creates it when it was never created, and starts it when it was stopped. It costs no
// call for a sandbox that was opened before, until Forget. daytona.ErrNotFound means that it is gone for good, and
// daytona.ErrFailed that it cannot be started any more.
func (p *Pool) Open(ctx context.Context, sb job.Sandbox) (*Box, error) {
	if box := p.known(sb.ID); box != nil {
		return box, nil
	}
	found, stopped, err := p.make(ctx, sb)
	if err != nil {
		return nil, fmt.Errorf("open sandbox %s: %w", sb.ID, err)
	}
	box := newBox(sb.ID, p.platform.Toolbox(found), found.ID)
	box.Stopped = stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[sb.ID] = box
	return box, nil
}

func (p *Pool) known(id string) *Box {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[id]
}

// Forget makes the next Open look at the sandbox again.
func (p *Pool) Forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, id)
}

// make creates or finds the sandbox of a row, and sees that it is started. stopped is the platform's reason why it
// was not.
func (p *Pool) make(ctx context.Context, sb job.Sandbox) (found daytona.Sandbox, stopped string, err error) {
	if sb.PlatformID == "" {
		found, err = p.create(ctx, sb)
		return found, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, mostWait)
	defer cancel()
	for {
		found, stopped, err = p.start(ctx, sb.PlatformID)
		if !errors.Is(err, daytona.ErrConflict) {
			return found, stopped, err
		}
		select { // it is on its way to another state, which the platform does not let us disturb
		case <-ctx.Done():
			return found, stopped, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// mostWait is how long a sandbox may take to settle and start.
const mostWait = 2 * time.Minute

func (p *Pool) start(ctx context.Context, id string) (found daytona.Sandbox, stopped string, err error) {
	found, err = p.platform.Get(ctx, id)
	if err != nil {
		return found, "", err
	}
	switch found.State {
	case daytona.StateStarted:
		return found, "", nil
	case daytona.StateDestroying, daytona.StateDestroyed:
		return found, "", fmt.Errorf("%w: it is being destroyed", daytona.ErrNotFound)
	case daytona.StateError, daytona.StateBuildFailed: // a start would be refused, in words that tell nothing
		return found, "", fmt.Errorf("%w: %s", daytona.ErrFailed, cmp.Or(found.ErrorReason, found.State))
	}
	stopped = found.ErrorReason // starting forgets it
	found, err = p.platform.Start(ctx, id)
	return found, stopped, err
}

// create makes the sandbox of a row. What it was made with stands on its labels, so that whoever finds it after a lost
// answer keeps what is true of it, and not what he would have made himself.
func (p *Pool) create(ctx context.Context, sb job.Sandbox) (daytona.Sandbox, error) {
	began := time.Now()
	q := p.request(sb)
	made, err := p.platform.Create(ctx, q)
	if errors.Is(err, daytona.ErrInactive) && q.Snapshot != "" {
		made, err = p.activate(ctx, q, err)
	}
	p.o.Created(err == nil, time.Since(began))
	if err == nil {
		err = p.ours(made)
	}
	if err != nil {
		return made, err
	}
	// The guide's best practice: the session is made with the sandbox.
	if err := p.platform.Toolbox(made).CreateSession(ctx, made.ID); err != nil && !errors.Is(err, daytona.ErrConflict) {
		return made, fmt.Errorf("create its session: %w", err)
	}
	return made, p.rows.SandboxReady(ctx, job.Sandbox{
		ID: sb.ID, PlatformID: made.ID, Snapshot: q.Snapshot,
		Fingerprint: cmp.Or(made.Labels[fingerprintLabel], sb.Fingerprint, q.Labels[fingerprintLabel]),
	})
}

// activate brings back a snapshot that the platform has put out of service, as it does with one that is not used for a
// while, and makes the sandbox then. What it cannot heal it says.
func (p *Pool) activate(ctx context.Context, q daytona.Create, why error) (daytona.Sandbox, error) {
	if err := p.platform.Activate(ctx, q.Snapshot); err != nil {
		return daytona.Sandbox{}, fmt.Errorf("%w: %w", why, err)
	}
	p.o.Log.WarnContext(ctx, "the snapshot was inactive and was activated", "snapshot", q.Snapshot)
	return p.platform.Create(ctx, q)
}

// The labels of a sandbox.
const (
	installationLabel = "sandpiper-installation"
	sandboxLabel      = "sandpiper-sandbox" // our id
	fingerprintLabel  = "sandpiper-fingerprint"
)

// ErrForeign means that a sandbox of that name belongs to another deployment: it is left alone.
var ErrForeign = errors.New("it belongs to another deployment")

// ours says whether a sandbox may be touched.
func (p *Pool) ours(found daytona.Sandbox) error {
	if found.Labels[installationLabel] != p.o.Installation {
		return ErrForeign
	}
	return nil
}

// request describes the sandbox of a row. A row without a fingerprint was added by somebody who cannot know what
// sandboxes are made of; this worker does.
func (p *Pool) request(sb job.Sandbox) daytona.Create {
	if sb.Fingerprint == "" {
		sb.Snapshot = p.current()
	}
	env := map[string]string{"ANTHROPIC_API_KEY": p.o.Key}
	if sb.UserID != "" { // whose a warm one will be, the launch says
		env["USER_ID"] = sb.UserID
	}
	for name, value := range p.o.Env {
		env[name] = value
	}
	return daytona.Create{
		Name:     sb.ID,
		Snapshot: sb.Snapshot,
		Env:      env,
		Labels: map[string]string{
			installationLabel: p.o.Installation, sandboxLabel: sb.ID, fingerprintLabel: p.fingerprint(sb.Snapshot),
		},
		AutoStopMinutes:   int((p.o.MaxTimeout + 30*time.Minute).Minutes()), // the platform must not stop a thinking prompt
		AutoDeleteMinutes: int(max(24*time.Hour, p.o.Idle).Minutes()),       // should nobody reap it; never before we would
	}
}

// Halt stops a sandbox by force: whatever runs in it is killed, its files stay.
func (p *Pool) Halt(ctx context.Context, sb job.Sandbox) error {
	p.Forget(sb.ID)
	if err := p.platform.Stop(ctx, cmp.Or(sb.PlatformID, sb.ID), true); err != nil {
		return fmt.Errorf("halt sandbox %s: %w", sb.ID, err)
	}
	return nil
}

// Delete removes a sandbox from the platform. One that is not there is fine.
func (p *Pool) Delete(ctx context.Context, sb job.Sandbox) error {
	p.Forget(sb.ID)
	id, err := p.find(ctx, sb)
	if err == nil && id != "" {
		err = p.platform.Delete(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("delete sandbox %s: %w", sb.ID, err)
	}
	return p.rows.SandboxGone(ctx, sb.ID, cmp.Or(sb.Reason, "deleted"))
}

// find is the platform's id of a sandbox. Where it was never learnt the name serves, if what has that name is ours; "" is
// none.
func (p *Pool) find(ctx context.Context, sb job.Sandbox) (string, error) {
	if sb.PlatformID != "" {
		return sb.PlatformID, nil
	}
	found, err := p.platform.Get(ctx, sb.ID)
	if errors.Is(err, daytona.ErrNotFound) || err == nil && p.ours(found) != nil {
		return "", nil
	}
	return found.ID, err
}
