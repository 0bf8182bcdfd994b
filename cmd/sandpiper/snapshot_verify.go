package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"sandpiper/internal/cli"
	"sandpiper/internal/cli/checkup"
)

func verifySnapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [NAME]",
		Short: "Make a sandbox from a snapshot, look whether it holds what jobs need, and delete it",
		Long: `Make a sandbox from a snapshot, look whether it holds what jobs need, and delete it, also after Ctrl-C: the claude
command and its version, the key in the environment, the workspace, and the right answer to one tiny prompt (with your key that
costs a fraction of a cent; without one the offline model answers, which a sandbox on a hosted platform cannot reach). Without a
name the current one is meant, and where none is known the platform's default.

Exit code 0: everything was found; 1: something was not, and what to do about it is said.`,
		Example: `  sandpiper snapshot verify "$(sandpiper snapshot build)"`,
		Args:    cobra.MaximumNArgs(1),
	}
	return inYard(cmd, func() bool { return true }, func(ctx context.Context, y yard, args []string) error {
		name, err := y.meant(ctx, args)
		if err != nil {
			return err
		}
		if name != "" {
			s, err := y.named(ctx, name)
			if err != nil {
				return err
			}
			name = s.Name
		}
		if !y.asJSON {
			y.screen.Line("verifying %s on %s", cli.OneLine(orDefault(name)), y.platform.Words())
		}
		// What is none of a snapshot's business must not stop it: this is an up's configuration, or a worker's.
		environ := append(append(os.Environ(), "SANDPIPER_ADDR="), y.platform.Environ(name)...)
		return examine(ctx, y.asJSON, checkup.Options{Environ: environ}, checkup.Snapshot)
	})
}

func orDefault(name string) string {
	if name == "" {
		return "the platform's default"
	}
	return name
}
