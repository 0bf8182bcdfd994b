package main

import (
	"fmt"
	"net"
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
		Short: "End everything that works in the data directory: up, its sandboxes and their runs, the offline model",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := dataDir()
			if err != nil {
				return err
			}
			s, err := boot.Stop(cmd.Context(), dir)
			fmt.Printf("stopped in %s: up %s, sandboxes %d, offline model %s\n", dir, yes(s.Up), s.Sandboxes, yes(s.Model))
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

func modelCommand() *cobra.Command {
	addr := "127.0.0.1:3987"
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Serve the offline model, a stand-in Messages API whose answers say that they are not Claude's",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if set := os.Getenv("SANDPIPER_MODEL_ADDR"); set != "" && !cmd.Flags().Changed("addr") {
				addr = set
			}
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return fmt.Errorf("open the offline model's port: %w", err)
			}
			fmt.Printf("the offline model answers at http://%s; point ANTHROPIC_BASE_URL there\n", l.Addr())
			return boot.ServeModel(cmd.Context(), l)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", addr, "listen address; SANDPIPER_MODEL_ADDR says the same")
	return cmd
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
