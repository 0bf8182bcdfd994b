package checkup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/config"
	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/snapshot"
)

// visit is one look at a place, with one sandbox.
type visit struct {
	report
	cfg    config.Config
	dir    string
	claude string
	place  *place
	box    daytona.Sandbox
	tools  *daytona.Toolbox
	facts  claude.Preflight
}

// most is how long a visit takes at most; each check has its own limit below it.
const most = 6 * time.Minute

// run visits a place: the checks that come first, those of the caller, and the clearing up.
func run(ctx context.Context, o Options, before []string, checks func(*visit) []check) []Line {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	v := &visit{report: report{o: o}}
	v.all(ctx, check{"configuration", 30 * time.Second, true, v.configure})
	v.all(ctx, v.common(before)...)
	v.all(ctx, checks(v)...)
	v.lost = false
	v.all(context.WithoutCancel(ctx), check{"cleaned up", time.Minute, false, v.leave})
	return v.lines
}

// common are the checks that lists begin with.
func (v *visit) common(names []string) []check {
	known := map[string]check{
		"platform": {"platform API reachable", 20 * time.Second, true, v.reach},
		"key":      {"platform key accepted", 30 * time.Second, true, v.enter},
		"snapshot": {"snapshot active", 30 * time.Second, true, v.known},
		"sandbox":  {"sandbox from snapshot", 3 * time.Minute, true, v.create},
		"cli":      {"CLI version", 90 * time.Second, true, v.version},
		"secret":   {"ANTHROPIC_API_KEY present", 5 * time.Second, false, v.secret},
		"dns":      {"DNS from the sandbox", 5 * time.Second, false, v.dns},
		"https":    {"HTTPS from the sandbox", 5 * time.Second, false, v.https},
	}
	checks := make([]check, len(names))
	for i, n := range names {
		checks[i] = known[n]
	}
	return checks
}

// configure reads the configuration and opens the place that it names.
func (v *visit) configure(ctx context.Context) (string, error) {
	if err := v.read(); err != nil {
		return "", err
	}
	var err error
	v.place, err = openPlace(ctx, v.cfg, v.dir, v.claude)
	if err != nil {
		return "", err
	}
	return "valid: " + v.place.words(), nil
}

// read reads the configuration and makes a directory of ours.
func (v *visit) read() (err error) {
	v.cfg, err = config.Load(v.o.Environ, config.RoleUp)
	if err != nil {
		return remedy(errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")), "set each variable as it says; docs/config.md lists them all")
	}
	v.hide = []string{v.cfg.AnthropicKey.Reveal(), v.cfg.DaytonaKey.Reveal(), v.cfg.DatabaseURL.Reveal(), v.cfg.RedisURL.Reveal()}
	if v.claude, err = claudeOf(v.cfg); err != nil {
		return err
	}
	v.dir, err = os.MkdirTemp("", "sandpiper-check-")
	return err
}

// reach asks without a key: too many refusals of one would lock us out.
func (v *visit) reach(ctx context.Context) (string, error) {
	began := time.Now()
	if err := v.place.platform.Reach(ctx); err != nil {
		return "", remedy(fmt.Errorf("%s: %w", v.place.url, err), "check DAYTONA_API_URL (with its /api), the network and proxies; is the platform up?")
	}
	return fmt.Sprintf("answered in %d ms", time.Since(began).Milliseconds()), nil
}

func (v *visit) enter(ctx context.Context) (string, error) {
	left, err := v.place.platform.List(ctx, label)
	switch {
	case errors.Is(err, daytona.ErrUnauthorized), errors.Is(err, daytona.ErrForbidden):
		return "", remedy(err, "DAYTONA_API_KEY is refused: make a new one on the platform, with the right to write sandboxes")
	case err != nil:
		return "", err
	case len(left) > 0:
		return fmt.Sprintf("yes; %d sandboxes of other checkups are there", len(left)), nil
	}
	return "yes", nil
}

// label marks the sandboxes of checkups on a platform.
var label = map[string]string{"sandpiper-check": "yes"}

func (v *visit) known(ctx context.Context) (string, error) {
	if v.place.snapshot == "" {
		return "the platform's default: SANDPIPER_SNAPSHOT is not set", nil
	}
	s, err := v.place.platform.Snapshot(ctx, v.place.snapshot)
	switch {
	case errors.Is(err, daytona.ErrNotFound):
		return "", remedy(fmt.Errorf("the platform knows no snapshot %q", v.place.snapshot), "build one with `sandpiper snapshot build`, or set SANDPIPER_SNAPSHOT to one that is there: `sandpiper snapshot list --all`")
	case err != nil:
		return "", err
	case s.State != daytona.SnapshotActive:
		return "", remedy(fmt.Errorf("%s is %s %s", v.place.snapshot, s.State, s.ErrorReason), "activate it with `sandpiper snapshot activate`, or wait until it is built")
	}
	return v.place.snapshot, nil
}

func (v *visit) create(ctx context.Context) (string, error) {
	began := time.Now()
	name := "sandpiper-check-" + job.NewToken()
	v.box.Name = name // deleted by it, should the answer be lost
	made, err := v.place.platform.Create(ctx, daytona.Create{
		Name: name, Snapshot: v.place.snapshot, Labels: label, AutoStopMinutes: 15, AutoDeleteMinutes: 15,
		Env: map[string]string{"USER_ID": "sandpiper-check", "ANTHROPIC_API_KEY": v.place.modelKey},
	})
	switch {
	case errors.Is(err, daytona.ErrQuota):
		return "", remedy(err, "delete sandboxes that nobody uses, or ask the platform for more")
	case errors.Is(err, daytona.ErrTooBig):
		return "", remedy(err, "build the snapshot with less, or ask the platform for larger sandboxes")
	case err != nil:
		return "", remedy(err, "look at the platform's page of this sandbox; a snapshot that does not start says why there")
	}
	v.box, v.tools = made, v.place.platform.Toolbox(made)
	if err := v.tools.CreateSession(ctx, made.ID); err != nil && !errors.Is(err, daytona.ErrConflict) {
		return "", fmt.Errorf("make its session: %w", err)
	}
	return fmt.Sprintf("%s, in %d ms", made.ID, time.Since(began).Milliseconds()), nil
}

// version looks at the sandbox as every job does, in one round trip.
func (v *visit) version(ctx context.Context) (string, error) {
	out, err := v.tools.Exec(ctx, v.box.ID, claude.PreflightScript(v.place.endpoint))
	if err == nil {
		v.facts, err = claude.ParsePreflight(out.Stdout)
	}
	switch {
	case err != nil:
		return "", err
	case v.facts.Claude == claude.CheckSlow:
		return "there, but too slow to say in 4 s: the machine is busy", nil
	case !v.facts.VersionOK():
		return "", remedy(errors.New("`claude --version` does not work in the sandbox"), "use a snapshot that holds the command: `sandpiper snapshot build` makes one")
	case !strings.HasPrefix(v.facts.Version, snapshot.ClaudeVersion+" "):
		return fmt.Sprintf("%s; the pinned one, which everything was measured on, is %s", v.facts.Version, snapshot.ClaudeVersion), nil
	}
	return v.facts.Version + ", the pinned one", nil
}

// secret compares lengths: the key itself never comes back.
func (v *visit) secret(context.Context) (string, error) {
	want := len(v.place.modelKey)
	switch {
	case !v.facts.KeyPresent:
		return "", remedy(errors.New("missing in the sandbox"), "the platform dropped the environment of the sandbox: look at the snapshot's entrypoint")
	case v.facts.KeyLength != want:
		return "", remedy(fmt.Errorf("%d characters arrived, %d were sent", v.facts.KeyLength, want), "the snapshot sets a key of its own: remove it there")
	case v.place.cfg.OfflineModel():
		return fmt.Sprintf("yes, %d characters (a stand-in: the offline model needs none)", want), nil
	}
	return fmt.Sprintf("yes, %d characters", want), nil
}

func (v *visit) dns(context.Context) (string, error) {
	switch v.facts.DNS {
	case claude.CheckOK:
		return v.place.endpoint.Host, nil
	case claude.CheckSkipped:
		return v.place.endpoint.Host + " is an address: there is nothing to look up", nil
	case claude.CheckUnknown:
		return "not known: the snapshot has neither nslookup nor getent", nil
	}
	return "", remedy(fmt.Errorf("%s has no address there", v.place.endpoint.Host), "check the sandbox's network: the platform may block it for your tier")
}

func (v *visit) https(context.Context) (string, error) {
	switch v.facts.HTTPS {
	case claude.CheckOK:
		return v.place.endpoint.URL + " answers", nil
	case claude.CheckUnknown:
		return "not known: the snapshot has no curl", nil
	}
	return "", remedy(fmt.Errorf("%s does not answer there", v.place.endpoint.URL), "allow the sandbox to reach it: firewall, network allow list of the platform, ANTHROPIC_BASE_URL")
}

// leave deletes what the visit made, and sees that it is gone.
func (v *visit) leave(ctx context.Context) (string, error) {
	var faults []error
	if v.box.Name != "" {
		faults = append(faults, v.place.gone(ctx, v.box.Name))
	}
	if v.place != nil {
		faults = append(faults, v.place.close(ctx))
	}
	if v.dir != "" {
		faults = append(faults, os.RemoveAll(v.dir))
	}
	if err := errors.Join(faults...); err != nil {
		return "", remedy(err, "delete the sandbox "+v.box.Name+" on the platform, and the directory "+v.dir)
	}
	return "nothing is left of this check", nil
}
