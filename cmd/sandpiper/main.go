// Command sandpiper runs everything on one machine (up), ends it (stop), and holds the tools around it.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sandpiper/internal/boot"
)

func main() {
	boot.Helper()
	err := root().ExecuteContext(boot.UntilInterrupted())
	var exit exitCode
	switch {
	case errors.As(err, &exit):
		os.Exit(int(exit))
	case err != nil:
		fmt.Fprintln(os.Stderr, "sandpiper:", err)
		os.Exit(1)
	}
}

// exitCode ends the program with a job's own code, without a word.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sandpiper",
		Short: "Durable jobs for Claude Code, each in a sandbox of its own",
		Long: `Sandpiper runs Claude Code prompts as durable jobs in sandboxes.

  sandpiper up               starts everything on this machine; no key and no account are needed
  sandpiper run "a prompt"   runs one prompt through it, and prints the answer
  sandpiper batch submit F   runs a file of prompts, a line of JSON for each; batch results has the answers
  sandpiper jobs             lists what ran; sandpiper job ID shows one of them
  sandpiper snapshot build   builds what sandboxes are made from; snapshot list shows what there is
  sandpiper doctor           looks whether what is configured works, and says what to do
  sandpiper daytona          serves local sandboxes by itself, for several workers; sandpiper model the offline model
  sandpiper migrate up       brings the schema of a Postgres up to date, before api and worker start
  sandpiper stop             ends everything that works in the data directory

What can be set, is set by environment variables: docs/config.md lists them.`,
		SilenceUsage: true, SilenceErrors: true,
	}
	cmd.AddCommand(upCommand(), stopCommand(), runCommand(), batchCommand(), jobsCommand(), jobCommand(), cancelCommand(), retryCommand(), lanesCommand(),
		keyCommand(), snapshotCommand(),
		healthCommand(), doctorCommand(), checkCommand(), daytonaCommand(), modelCommand(),
		migrateCommand(), installCommand(), versionCommand())
	return cmd
}
