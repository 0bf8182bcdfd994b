package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sandpiper/internal/boot"
	"sandpiper/internal/cli"
	"sandpiper/internal/config"
	"sandpiper/internal/daytona"
	"sandpiper/internal/snapshots"
	"sandpiper/internal/store"
	"sandpiper/internal/telemetry"
)

func snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Build, list, use and prune the snapshots that sandboxes are made from",
		Long: `Build, list, use and prune the snapshots that sandboxes are made from, on the Daytona that is configured; where none is,
on the local one of the data directory. DATABASE_URL says whose current snapshot is meant; without it that of sandpiper up
in the data directory.

Snapshots of ours are named PREFIX-snapshot-TIME, with the time in UTC; others are shown with --all and never changed.`,
		Example: `  sandpiper snapshot build && sandpiper snapshot verify
  sandpiper snapshot use "$(sandpiper snapshot build)"
  sandpiper snapshot prune --keep 3 --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(buildSnapshotCommand(), listSnapshotsCommand(), useSnapshotCommand(), activateSnapshotCommand(),
		pruneSnapshotsCommand(), verifySnapshotCommand())
	return cmd
}

// yard is what the commands about snapshots work on.
type yard struct {
	cfg      config.Config
	platform *boot.Platform
	screen   *cli.Screen // stderr: for people
	asJSON   bool
}

// inYard makes the flags that the commands have in common, and opens the platform for one. furnished says whether it needs
// the claude command there; nil means that it does not.
func inYard(cmd *cobra.Command, furnished func() bool, do func(ctx context.Context, y yard, args []string) error) *cobra.Command {
	var y yard
	prefix := cmd.Flags().String("prefix", "", `what names of ours begin with (default "sandpiper"); SANDPIPER_SNAPSHOT_PREFIX says the same`)
	cmd.Flags().BoolVar(&y.asJSON, "json", false, "for programs: JSON on standard output")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if y.cfg, err = config.Load(withFlag("SANDPIPER_SNAPSHOT_PREFIX", *prefix), config.RoleSnapshot); err != nil {
			return fmt.Errorf("the configuration is wrong:\n%w", err)
		}
		y.screen = cli.NewScreen(os.Stderr)
		o := boot.Options{Log: telemetry.Logger(os.Stderr, "text", "error"), Progress: os.Stderr}
		if y.platform, err = boot.OpenPlatform(cmd.Context(), y.cfg, o, furnished != nil && furnished()); err != nil {
			return err
		}
		err = advised(do(cmd.Context(), y, args))
		return errors.Join(err, y.platform.Close())
	}
	return cmd
}

// advised adds what to do to a refusal of the platform.
func advised(err error) error {
	switch {
	case errors.Is(err, daytona.ErrUnauthorized), errors.Is(err, daytona.ErrForbidden):
		return fmt.Errorf("%w\nDAYTONA_API_KEY is refused: it needs the right to write and delete snapshots", err)
	case errors.Is(err, daytona.ErrQuota):
		return fmt.Errorf("%w\n`sandpiper snapshot prune` makes room", err)
	}
	return err
}

// cache is what the cache file says of a snapshot on this platform. The file is a mirror: without it things go on.
func (y yard) cache() snapshots.Cached {
	known, err := snapshots.ReadCache(y.cfg.Data)
	if err != nil {
		y.screen.Line("the cache file is left out of it: %v", err)
	}
	if known.Platform != y.platform.Place() && (known.Platform != "" || y.cfg.LocalDaytona()) {
		return snapshots.Cached{}
	}
	return known
}

// keep writes the cache file.
func (y yard) keep(c snapshots.Cached) {
	if err := c.Write(y.cfg.Data); err != nil {
		y.screen.Line("the cache file is as it was: %v", err)
	}
}

// deployment opens the database for as long as do takes.
func (y yard) deployment(ctx context.Context, do func(d *boot.Deployment) error) error {
	d, err := boot.OpenDeployment(ctx, y.cfg)
	if err != nil {
		return err
	}
	return errors.Join(do(d), d.Close())
}

// uses asks the database, and only then the platform, who needs which snapshot. The error says why the database could not
// be asked; what the platform says is there all the same.
func (y yard) uses(ctx context.Context) (u snapshots.Uses, unknown, err error) {
	u.Named = y.cfg.Snapshot
	unknown = y.deployment(ctx, func(d *boot.Deployment) (err error) {
		if u.Current, err = d.Snapshot(ctx); err == nil {
			u.Rows, err = d.InUse(ctx)
		}
		return err
	})
	u.Current = cmp.Or(u.Current, y.cachedCurrent())
	u.Made, err = snapshots.Made(ctx, y.platform.Client)
	return u, unknown, err
}

// named finds a snapshot by name or id.
func (y yard) named(ctx context.Context, name string) (daytona.Snapshot, error) {
	s, err := y.platform.Snapshot(ctx, name)
	if errors.Is(err, daytona.ErrNotFound) {
		return s, fmt.Errorf("%s has no snapshot %q: `sandpiper snapshot list --all` shows those that there are", y.platform.Words(), name)
	}
	return s, err
}

// current is the name of the snapshot that a command means that is given none.
func (y yard) current(ctx context.Context) (name string, err error) {
	if y.cfg.Snapshot != "" {
		return y.cfg.Snapshot, nil
	}
	err = y.deployment(ctx, func(d *boot.Deployment) (err error) {
		name, err = d.Snapshot(ctx)
		return err
	})
	if errors.Is(err, store.ErrLocked) {
		y.screen.Line("which one is current was not asked: %v", err)
	}
	if errors.Is(err, boot.ErrNoDeployment) || errors.Is(err, store.ErrLocked) {
		err = nil
	}
	return cmp.Or(name, y.cachedCurrent()), err
}

// cachedCurrent is what a worker takes from the cache file when the database knows none. A local Daytona has its own then.
func (y yard) cachedCurrent() string {
	if y.cfg.LocalDaytona() {
		return ""
	}
	return y.cache().Name
}

func listSnapshotsCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List our snapshots: which is the current one, and what is made from them",
		Long: `List our snapshots, newest first, and the current one whoever it belongs to. "up to date" is one whose content is that of
this program; sandboxes are those on the platform.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&all, "all", false, "those of others and of the platform too")
	return inYard(cmd, nil, func(ctx context.Context, y yard, _ []string) error {
		found, err := y.platform.Snapshots(ctx, "")
		if err != nil {
			return err
		}
		uses, unknown, err := y.uses(ctx)
		if err != nil {
			return err
		}
		if unknown != nil {
			y.screen.Line("which one is current was not asked: %v", unknown)
		}
		var shown []snapshots.Listed
		for _, s := range snapshots.List(found, y.cfg.Prefix, uses) {
			if all || s.Ours || s.Current {
				shown = append(shown, s)
			}
		}
		return y.show(shown, len(found))
	})
}

func (y yard) show(list []snapshots.Listed, known int) error {
	if y.asJSON {
		for _, s := range list {
			if err := writeJSON(s); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		y.screen.Line("%s has no snapshot of the prefix %q, and %d others; `sandpiper snapshot build` builds one", y.platform.Words(), y.cfg.Prefix, known)
		return nil
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTATE\tBUILT\tSANDBOXES\tNOTES")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", cli.OneLine(s.Name), cli.OneLine(s.State), when(s.CreatedAt), s.Sandboxes, cli.OneLine(notes(s)))
	}
	return t.Flush()
}

func when(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format("2006-01-02 15:04")
}

func notes(s snapshots.Listed) (text string) {
	add := func(when bool, word string) {
		if when && text != "" {
			text += ", "
		}
		if when {
			text += word
		}
	}
	add(s.Current, "current")
	add(s.UpToDate, "up to date")
	add(s.General, "the platform's")
	add(s.Reason != "", s.Reason)
	return text
}

func useSnapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "use NAME",
		Short: "Make new sandboxes from a snapshot from now on",
		Long: `Make a snapshot the current one of the deployment: new sandboxes are made from it. Workers see that within
some ten seconds, an up when it starts. A worker that is started with SANDPIPER_SNAPSHOT makes that one current, and stays with
it. Sandboxes that are there stay as they are.`,
		Example: `  sandpiper snapshot use sandpiper-snapshot-2026-11-28T12-00-00-000Z`,
		Args:    cobra.ExactArgs(1),
	}
	return inYard(cmd, nil, func(ctx context.Context, y yard, args []string) error {
		s, err := y.named(ctx, args[0])
		switch {
		case err != nil:
			return err
		case s.State != daytona.SnapshotActive:
			return fmt.Errorf("%s is %s: no sandbox can be made from it; `sandpiper snapshot activate %s` brings one back that is inactive", s.Name, s.State, s.Name)
		}
		if err := y.deployment(ctx, func(d *boot.Deployment) error { return d.Use(ctx, s.Name) }); err != nil {
			return fmt.Errorf("make %s the current one: %w", s.Name, err)
		}
		y.keep(snapshots.CacheOf(s, y.platform.Place(), time.Now()))
		if y.cfg.Snapshot != "" && y.cfg.Snapshot != s.Name {
			y.screen.Line("SANDPIPER_SNAPSHOT names %s here: a worker that is started with it makes that one current again", cli.OneLine(y.cfg.Snapshot))
		}
		return y.said(s, s.Name+" is the current one: new sandboxes are made from it")
	})
}

// said tells what became of one snapshot.
func (y yard) said(s daytona.Snapshot, text string) error {
	if y.asJSON {
		return writeJSON(map[string]any{"name": s.Name, "id": s.ID, "state": s.State})
	}
	_, err := fmt.Println(cli.OneLine(text))
	return err
}

func writeJSON(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func activateSnapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "activate [NAME]",
		Short: "Bring a snapshot back that the platform has put out of service; without a name the current one",
		Long: `Bring a snapshot back that the platform has put out of service, as it does with one that was not used for a while, and
wait until sandboxes can be made from it. One that is active already is fine. A worker does the same by itself when it needs one.`,
		Args: cobra.MaximumNArgs(1),
	}
	return inYard(cmd, nil, func(ctx context.Context, y yard, args []string) error {
		name, err := y.meant(ctx, args)
		if err != nil {
			return err
		}
		if name == "" {
			return errors.New("no snapshot is current: name one")
		}
		s, err := y.named(ctx, name)
		if err != nil {
			return err
		}
		done := y.screen.Await("activating " + cli.OneLine(s.Name))
		err = y.platform.Activate(ctx, s.ID)
		done()
		if errors.Is(err, daytona.ErrSettling) {
			return fmt.Errorf("%w\nit was put out of service just now: try again in ten minutes", err)
		}
		if err != nil {
			return err
		}
		s.State = daytona.SnapshotActive
		return y.said(s, s.Name+" is active")
	})
}

// meant is the snapshot that is named, else the current one.
func (y yard) meant(ctx context.Context, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	return y.current(ctx)
}
