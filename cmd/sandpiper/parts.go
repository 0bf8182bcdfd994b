package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sandpiper/internal/boot"
	"sandpiper/internal/config"
	"sandpiper/internal/telemetry"
)

func daytonaCommand() *cobra.Command {
	addr := ""
	cmd := &cobra.Command{
		Use:   "daytona",
		Short: "Serve the local Daytona by itself: sandboxes that several workers on this machine share",
		Long: `Serve the local Daytona by itself: the Daytona REST API, with processes of this machine for sandboxes. Several workers
can share it, and the official SDKs can use it; docs/local-daytona.md says what it has of the real one.

It prints what to export so that workers and SDKs find it. Its key is DAYTONA_API_KEY; without one it makes a key and
keeps it in the data directory. The claude command of its sandboxes is SANDPIPER_CLAUDE, or is installed from npm, as
for sandpiper up. An up that embeds its own local Daytona needs a data directory of its own.

Ctrl-C, SIGTERM or a crash leave its sandboxes and their commands running: the next sandpiper daytona on the same data
directory finds them again, and sandpiper stop ends them.`,
		Example: `  sandpiper daytona
  SANDPIPER_DATA=/srv/sandboxes SANDPIPER_DAYTONA_ADDR=127.0.0.1:4000 sandpiper daytona`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(withFlag("SANDPIPER_DAYTONA_ADDR", addr), config.RoleDaytona)
			if err != nil {
				return fmt.Errorf("the configuration is wrong:\n%w", err)
			}
			return serveDaytona(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "", "listen address (default 127.0.0.1:3986); SANDPIPER_DAYTONA_ADDR says the same")
	return cmd
}

// withFlag is the environment with a variable that a flag may have set.
func withFlag(name, value string) []string {
	if value == "" {
		return os.Environ()
	}
	return append(os.Environ(), name+"="+value)
}

func serveDaytona(ctx context.Context, cfg config.Config) error {
	log := telemetry.Logger(os.Stderr, cfg.LogFormat, cfg.LogLevel)
	d, err := boot.OpenDaytona(ctx, cfg, boot.Options{Log: log, Progress: os.Stderr})
	if err != nil {
		return err
	}
	tellDaytona(os.Stdout, d)
	err = d.Run(ctx)
	running := d.Running()
	err = errors.Join(err, d.Close())
	if err == nil && running > 0 {
		fmt.Fprintf(os.Stderr, "sandpiper: stopped. Sandboxes that go on: %d. The next `sandpiper daytona` finds them; `sandpiper stop` stops them now.\n", running)
	}
	return err
}

// tellDaytona says how to use it. The key itself is not shown: what is printed ends in logs.
func tellDaytona(w io.Writer, d *boot.Daytona) {
	key := `"$(cat ` + quoted(d.KeyFile()) + `)"`
	if d.KeyFile() == "" {
		key = "…   # the one that this was started with"
	}
	fmt.Fprintf(w, `The local Daytona answers at %s
Its sandboxes are held in by: %s. Workers and SDKs find it with

  export DAYTONA_API_URL=%s
  export DAYTONA_API_KEY=%s

Ctrl-C to stop; its sandboxes go on, sandpiper stop ends them.
`, d.URL(), held(d.Isolation()), d.URL(), key)
}

// held is the name of an isolation for people.
func held(isolation string) string {
	if isolation == "none" {
		return "nothing (bubblewrap is missing, forbidden or switched off)"
	}
	return isolation
}

// quoted is text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func modelCommand() *cobra.Command {
	addr := ""
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Serve the offline model by itself: a stand-in Messages API whose answers say that they are not Claude's",
		Long: `Serve the offline model by itself: a stand-in for the Messages API, for tests and for trying things out. It knows no
key, costs nothing, thinks nothing, and every answer says that it is not Claude's; small sums it does work out.

It prints what to export so that workers and the claude command ask it. It keeps nothing; Ctrl-C or SIGTERM end it, and
an answer that is being given is cut.`,
		Example: `  sandpiper model
  sandpiper model --addr 127.0.0.1:0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(withFlag("SANDPIPER_MODEL_ADDR", addr), config.RoleModel)
			if err != nil {
				return fmt.Errorf("the configuration is wrong:\n%w", err)
			}
			return serveModel(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "", "listen address (default 127.0.0.1:3987); SANDPIPER_MODEL_ADDR says the same")
	return cmd
}

func serveModel(ctx context.Context, cfg config.Config) error {
	l, err := net.Listen("tcp", cfg.ModelAddr)
	if err != nil {
		return fmt.Errorf("open the offline model's port: %w", err)
	}
	fmt.Printf(`The offline model answers at http://%[1]s. Workers and the claude command find it with

  export ANTHROPIC_BASE_URL=http://%[1]s
  export ANTHROPIC_API_KEY=the-offline-model-needs-no-key

Ctrl-C to stop.
`, l.Addr())
	return boot.ServeModel(ctx, l)
}
