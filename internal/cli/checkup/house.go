package checkup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sandpiper/client"
	"sandpiper/internal/boot"
	"sandpiper/internal/config"
	"sandpiper/internal/job"
)

// through is a visit that goes through the HTTP API, as a client of the guide does: that of a running Sandpiper, or of
// a house that is brought up for it.
type through struct {
	visit
	api   *client.Client
	user  string
	own   bool       // the user is this check's alone
	ended chan error // of our house; nil when the API is somebody else's
	house *boot.House
	stop  context.CancelFunc

	sandbox string // made through the API
	job     client.Job
	events  []client.Event
}

// runAPI visits an API.
func runAPI(ctx context.Context, o Options, checks func(*through) []check) []Line {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	t := &through{visit: visit{report: report{o: o}}, user: o.UserID}
	if t.own = t.user == "" && (o.API == "" || o.Key == ""); t.own {
		t.user = "sandpiper-check-" + job.NewToken()
	}
	t.all(ctx, check{"API", time.Minute, true, t.open})
	t.all(ctx, checks(t)...)
	t.lost = false
	t.all(context.WithoutCancel(ctx), check{"cleaned up", 90 * time.Second, false, t.leave})
	return t.lines
}

// open connects to the API that is named, or brings up a house on the configured platform and model, with a database
// and a queue of its own.
func (t *through) open(ctx context.Context) (string, error) {
	if t.o.API != "" {
		t.api = client.New(t.o.API, client.Options{Key: t.o.Key, UserID: t.user})
		return t.o.API + " is ready", remedy(t.api.Ready(ctx), "is `sandpiper up` running there? Unset SANDPIPER_API to have one brought up for this")
	}
	if err := t.read(); err != nil {
		return "", err
	}
	cfg := t.cfg
	cfg.Data, cfg.Addr, cfg.DaytonaAddr, cfg.ModelAddr = filepath.Join(t.dir, "data"), "127.0.0.1:0", "", ""
	cfg.DatabaseURL, cfg.RedisURL, cfg.Claude = config.Secret{}, config.Secret{}, t.claude
	cfg.APIKeys, cfg.JWTSecret = config.Secret{}, config.Secret{} // nobody else calls it, and we have no key
	house, err := boot.Open(ctx, cfg, boot.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", err
	}
	living, stop := context.WithCancel(context.WithoutCancel(ctx))
	t.house, t.stop, t.ended = house, stop, make(chan error, 1)
	go func() { t.ended <- house.Run(living) }()
	t.api = client.New(house.URL(), client.Options{UserID: t.user})
	return "brought up for this at " + house.URL(), t.api.Ready(ctx)
}

// leave ends our house and deletes its sandboxes, on a platform too; and through somebody else's API what it made there. A
// sandbox that a job got from another user's pool stays in it.
func (t *through) leave(ctx context.Context) (string, error) {
	switch {
	case t.o.API != "" && t.api == nil:
		return "nothing was made", nil
	case t.o.API != "" && !t.own && t.sandbox == "":
		return "nothing to do: the sandbox stays in its user's pool", nil
	case t.o.API != "":
		return "nothing is left of this check", remedy(t.deleteThrough(ctx), "delete its sandboxes there: DELETE /api/sandboxes/:id")
	}
	var faults []error
	if t.house != nil {
		made := t.sandboxes(ctx)
		t.stop()
		faults = append(faults, <-t.ended)
		_, err := t.house.Leave(ctx)
		faults = append(faults, err, t.house.Close())
		_, err = boot.Stop(ctx, filepath.Join(t.dir, "data"))
		faults = append(faults, err, t.deleteSandboxes(ctx, made))
	}
	if t.dir != "" {
		faults = append(faults, os.RemoveAll(t.dir))
	}
	if err := errors.Join(faults...); err != nil {
		return "", remedy(err, "delete the sandboxes "+t.sandbox+" "+t.job.SandboxID+" on the platform, and the directory "+t.dir)
	}
	return "nothing is left of this check", nil
}

// sandboxes are the ids of all that our house made, also of one whose maker was interrupted. They are also the
// sandboxes' names on the platform.
func (t *through) sandboxes(ctx context.Context) []string {
	ids := []string{t.sandbox, t.job.SandboxID}
	all, err := t.api.Sandboxes(ctx, 200)
	if err != nil {
		return ids
	}
	for _, sb := range all {
		ids = append(ids, sb.SandboxID)
	}
	return ids
}

// deleteThrough deletes through the API the sandbox that was made, or all of a user that is ours, and waits until they
// are gone.
func (t *through) deleteThrough(ctx context.Context) error {
	ids := []string{t.sandbox}
	if t.own {
		all, err := t.api.Sandboxes(ctx, 200)
		if err != nil {
			return err
		}
		ids = nil
		for _, sb := range all {
			ids = append(ids, sb.SandboxID)
		}
	}
	for _, id := range ids {
		if err := t.deleteOne(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// deleteOne asks until a sandbox is gone: a job that was just cancelled may be ending in it.
func (t *through) deleteOne(ctx context.Context, id string) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		sb, err := t.api.DeleteSandbox(ctx, id)
		var p *client.Problem
		switch {
		case err == nil && sb.Status == "gone":
			return nil
		case err != nil && (!errors.As(err, &p) || p.Code != "SANDBOX_BUSY"):
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sandbox %s is still there", id)
		case <-tick.C:
		}
	}
}

// deleteSandboxes deletes them from a platform that outlives our house.
func (t *through) deleteSandboxes(ctx context.Context, ids []string) error {
	if t.cfg.LocalDaytona() {
		return nil
	}
	p, err := openPlace(ctx, t.cfg, t.dir, "")
	if err != nil {
		return err
	}
	slices.Sort(ids)
	var faults []error
	for _, id := range slices.Compact(ids) {
		if id != "" {
			faults = append(faults, p.gone(ctx, id))
		}
	}
	return errors.Join(append(faults, p.close(ctx))...)
}

// makeSandbox asks for a sandbox and waits for it.
func (t *through) makeSandbox(ctx context.Context) (string, error) {
	began := time.Now()
	sb, err := t.api.CreateSandbox(ctx, t.user)
	if err != nil {
		return "", err
	}
	t.sandbox = sb.SandboxID
	return fmt.Sprintf("%s is %s, in %d ms", sb.SandboxID, sb.Status, time.Since(began).Milliseconds()), nil
}

// send runs a prompt and keeps its events, as they come over the WebSocket.
func (t *through) send(ctx context.Context, s client.Submit) error {
	s.UserID, t.events = t.user, nil
	id, err := t.api.Submit(ctx, s)
	if err != nil {
		return err
	}
	t.job = client.Job{JobID: id}
	for e, err := range t.api.Follow(ctx, id, 0) {
		if err != nil {
			t.endJob(ctx, id)
			return err
		}
		t.events = append(t.events, e)
		t.job.SandboxID = cmp.Or(e.SandboxID, t.job.SandboxID)
	}
	t.job, err = t.api.Job(ctx, id, 0)
	return err
}

// endJob leaves no prompt behind that nobody waits for.
func (t *through) endJob(ctx context.Context, id string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	_, _ = t.api.Cancel(ctx, id) // the fault that led here is the one to be told
}

// said reports whether a log line of the job contains text.
func (t *through) said(text string) bool {
	for _, e := range t.events {
		if e.Type == client.EventLog && strings.Contains(e.Data, text) {
			return true
		}
	}
	return false
}
