package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sandpiper/internal/boot"
	"sandpiper/snapshot"
)

// version is the product's own.
const version = "0.1.0"

// dataDir is where the embedded defaults live, also for commands that need no other configuration.
func dataDir() (string, error) {
	if dir := os.Getenv("SANDPIPER_DATA"); dir != "" {
		return filepath.Abs(dir)
	}
	return filepath.Abs(".sandpiper")
}

func stopCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "End everything that works in the data directory: up or daytona, its sandboxes and their runs, the offline model",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := dataDir()
			if err != nil {
				return err
			}
			s, err := boot.Stop(cmd.Context(), dir)
			fmt.Printf("stopped in %s: up %s, local Daytona alone %s, sandboxes %d, offline model %s\n",
				dir, yes(s.Up), yes(s.Daytona), s.Sandboxes, yes(s.Model))
			return err
		},
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "was not running"
}

func installCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "install-claude",
		Short: "Install the pinned claude command from npm into the data directory, and print its path",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := dataDir()
			if err != nil {
				return err
			}
			path, err := snapshot.Install(cmd.Context(), dir, os.Stderr)
			if err == nil {
				fmt.Println(path)
			}
			return err
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of Sandpiper and of the pinned claude command",
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			fmt.Printf("sandpiper %s (claude %s)\n", version, snapshot.ClaudeVersion)
		},
	}
}
