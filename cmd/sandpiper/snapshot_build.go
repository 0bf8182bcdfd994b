package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sandpiper/internal/cli"
	"sandpiper/internal/daytona"
	"sandpiper/internal/snapshots"
)

// building is what `sandpiper snapshot build` was asked for.
type building struct {
	dockerfile           string
	cpu, memory, disk    int
	force, dry           bool
	most                 time.Duration
	recipe               snapshots.Recipe
	builder              snapshots.Builder
	awaited, lastWritten func()
}

func buildSnapshotCommand() *cobra.Command {
	var b building
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build a snapshot of what sandboxes are to hold, unless there is one of the same content",
		Long: `Build a snapshot of what sandboxes are to hold, and print its name: this program's own (the folder snapshot/ of its
source), or that of a Dockerfile. Where one of the same content is there, nothing is built, and its name is printed; where
one is being built, that build is followed. What the platform's builder says is shown as it comes.

A Dockerfile has no build context: what it copies must come from another of its stages, and small files are best written
with RUN echo. Jobs need /home/daytona/workspace and the claude command on PATH; snapshot verify looks for both.

The name goes to standard output, everything else to standard error. The cache file (snapshot-cache.json in the data
directory) then has name, id, dockerHash, ts and createdFrom. A build makes nothing current: snapshot use does that.

Exit code 0: the snapshot is there; 1: it is not, and the reason is said; 130: interrupted. Ctrl-C ends the waiting and not the
build: the next snapshot build follows it. A failed build stays on the platform until snapshot prune.`,
		Example: `  sandpiper snapshot build
  sandpiper snapshot build --dockerfile my.Dockerfile --memory 2 --disk 5
  sandpiper snapshot build --dry-run --json | jq .built`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&b.dockerfile, "dockerfile", "", "build this `FILE` instead of the program's own")
	flags.IntVar(&b.cpu, "cpu", 0, "CPUs of each sandbox (default: the platform's)")
	flags.IntVar(&b.memory, "memory", 0, "GiB of memory of each sandbox (default: the platform's)")
	flags.IntVar(&b.disk, "disk", 0, "GiB of disk of each sandbox (default: the platform's)")
	flags.BoolVar(&b.force, "force", false, "build also where one of the same content is there")
	flags.BoolVar(&b.dry, "dry-run", false, "say what would be done, and do nothing")
	flags.DurationVar(&b.most, "timeout", time.Hour, "how long to wait for the build")
	return inYard(cmd, func() bool { return !b.dry }, func(ctx context.Context, y yard, _ []string) error { return b.run(ctx, y) })
}

func (b *building) run(ctx context.Context, y yard) error {
	if err := b.prepare(y); err != nil {
		return err
	}
	if b.dry {
		return b.foretell(ctx, y)
	}
	waiting, cancel := context.WithTimeout(ctx, b.most)
	defer cancel()
	built, err := b.builder.Build(waiting, b.recipe, b.force)
	b.awaited()
	b.lastWritten()
	switch {
	case err == nil:
		return b.done(y, built)
	case ctx.Err() != nil:
		y.screen.Line("%s", left(built.Name, "interrupted"))
		return exitCode(interrupted)
	case waiting.Err() != nil:
		return errors.New(left(built.Name, fmt.Sprintf("not built within %s", b.most)))
	case errors.Is(err, daytona.ErrFailed):
		return fmt.Errorf("%s: %w\n`sandpiper snapshot prune` removes what is left of it", built.Name, err)
	}
	return err
}

// left says what goes on after the waiting has ended.
func left(name, why string) string {
	if name == "" {
		return why + ": nothing was begun"
	}
	return fmt.Sprintf("%s: %s may go on being built on the platform; `sandpiper snapshot build` follows it, `sandpiper snapshot list` shows it", why, name)
}

// prepare reads what is to be built.
func (b *building) prepare(y yard) error {
	b.recipe = snapshots.Own()
	if b.dockerfile != "" {
		text, err := os.ReadFile(b.dockerfile)
		if err != nil {
			return err
		}
		b.recipe = snapshots.Recipe{Dockerfile: string(text), From: snapshots.FromFile}
		if err := b.recipe.Validate(); err != nil {
			return fmt.Errorf("%s cannot be built:\n%w", b.dockerfile, err)
		}
	}
	for name, n := range map[string]int{"--cpu": b.cpu, "--memory": b.memory, "--disk": b.disk} {
		if n < 0 {
			return fmt.Errorf("%s must not be negative", name)
		}
	}
	b.recipe.CPU, b.recipe.MemoryGiB, b.recipe.DiskGiB = b.cpu, b.memory, b.disk
	log := &cli.Log{Screen: y.screen}
	b.awaited, b.lastWritten = func() {}, log.Close
	b.builder = snapshots.Builder{
		Platform: y.platform.Client, Prefix: y.cfg.Prefix, Known: y.cache(), Log: log,
		Told: func(s daytona.Snapshot) {
			b.awaited()
			y.screen.Line("%s: %s", cli.OneLine(s.Name), cli.OneLine(s.State))
			b.awaited = y.screen.Await(cli.OneLine(s.State + " " + s.Name))
		},
	}
	return nil
}

// foretell says what build would do.
func (b *building) foretell(ctx context.Context, y yard) error {
	same, err := b.builder.Same(ctx, b.recipe)
	if err != nil {
		return err
	}
	would := snapshots.Name(y.cfg.Prefix, time.Now())
	if same != nil && !b.force {
		y.screen.Line("nothing would be built: %s has this content, and is %s", same.Name, cli.OneLine(same.State))
		return b.tell(y, *same, false)
	}
	y.screen.Line("would be built under such a name, from %s, content %.12s; nothing was", b.recipe.From, b.recipe.Hash())
	return b.tell(y, daytona.Snapshot{Name: would}, false)
}

// done keeps and tells what there is now.
func (b *building) done(y yard, built snapshots.Built) error {
	known := snapshots.CacheOf(built.Snapshot, y.platform.Place(), time.Now())
	known.DockerHash, known.CreatedFrom = b.recipe.Hash(), b.recipe.From // a platform need not tell
	if old := y.cache(); old.ID != known.ID || old.DockerHash != known.DockerHash {
		y.keep(known)
	}
	switch {
	case built.State == daytona.SnapshotInactive:
		y.screen.Line("nothing to build: %[1]s has this content; it is inactive, and `sandpiper snapshot activate %[1]s` brings it back", built.Name)
	case !built.New:
		y.screen.Line("nothing to build: %s has this content", built.Name)
	}
	return b.tell(y, built.Snapshot, built.New)
}

func (b *building) tell(y yard, s daytona.Snapshot, isNew bool) error {
	if y.asJSON {
		return writeJSON(map[string]any{
			"name": s.Name, "id": s.ID, "state": s.State, "built": isNew, "dockerHash": b.recipe.Hash(), "createdFrom": b.recipe.From,
		})
	}
	_, err := fmt.Println(cli.OneLine(s.Name))
	return err
}
