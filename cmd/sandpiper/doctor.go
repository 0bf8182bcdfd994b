package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sandpiper/internal/cli"
	"sandpiper/internal/cli/checkup"
)

func doctorCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether everything that is configured works, and say what to do about the rest",
		Long: `Look whether everything that is configured works, one line a fact, ✓ or ✗ with what to do.

It reads the same variables as sandpiper up. On the configured platform it makes a sandbox of its own and asks one tiny
prompt (with your key: that costs a fraction of a cent); where nothing is configured, it brings up a local Daytona and
the offline model for itself. What it made it deletes, also after Ctrl-C. A running up, its data and its jobs are left
alone. It ends within six minutes, commonly within ten seconds, and with exit code 1 when anything failed.`,
		Example: `  sandpiper doctor
  DAYTONA_API_KEY=… SANDPIPER_SNAPSHOT=… ANTHROPIC_API_KEY=… sandpiper doctor
  sandpiper doctor --json | jq -r '.checks[] | select(.status != "ok") | .remedy'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return examine(cmd.Context(), asJSON, checkup.Options{}, checkup.Doctor)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object: ok, and checks with check, status, found, remedy and ms")
	return cmd
}

// layers are the test layers of the integration guide.
var layers = []struct {
	name, short string
	run         func(context.Context, checkup.Options) []checkup.Line
}{
	{"snapshot", "a sandbox from the snapshot, and what must be in it", checkup.Snapshot},
	{"claude", "the claude command through the pipe: models and formats", checkup.Claude},
	{"session", "both patterns of sessions, and one that was lost", checkup.Session},
	{"api", "sandbox, prompt and messages through the HTTP API", checkup.API},
	{"e2e", "one prompt through everything: USER_ID=… INPUT=…", checkup.E2E},
}

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "The integration guide's test layers, against whatever is configured",
		Long: `The integration guide's test layers, against whatever is configured. Each makes what it needs and deletes it:

  sandpiper check snapshot   ` + layers[0].short + `
  sandpiper check claude     ` + layers[1].short + `
  sandpiper check session    ` + layers[2].short + `
  sandpiper check api        ` + layers[3].short + `
  sandpiper check e2e        ` + layers[4].short + `

The first three speak to the platform themselves. The last two go through the API that SANDPIPER_API names; without
it, through one that is brought up for them. Where no platform and no model are configured, the local ones serve.`,
		Example: `  sandpiper check session
  USER_ID=test INPUT="What is the capital of France?" sandpiper check e2e`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, l := range layers {
		asJSON := false
		layer := &cobra.Command{
			Use: l.name, Short: strings.ToUpper(l.short[:1]) + l.short[1:], Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				o := checkup.Options{API: os.Getenv(apiVar)}
				var err error
				if o.Key, err = apiKey(); err != nil {
					return err
				}
				if l.name == "e2e" {
					o.UserID, o.Input = os.Getenv("USER_ID"), os.Getenv("INPUT")
				}
				return examine(cmd.Context(), asJSON, o, l.run)
			},
		}
		layer.Flags().BoolVar(&asJSON, "json", false, "one JSON object: ok, and checks")
		cmd.AddCommand(layer)
	}
	return cmd
}

// examine runs a list of checks and shows it, as lines or as JSON.
func examine(ctx context.Context, asJSON bool, o checkup.Options, list func(context.Context, checkup.Options) []checkup.Line) error {
	screen, done := cli.NewScreen(os.Stdout), func() {}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if !asJSON {
		o.Begin = func(name string) { done = screen.Await(name) }
		o.Show = func(l checkup.Line) {
			done()
			screen.Checked(cli.Mark(l.Status), l.Check, l.Found, l.Remedy)
		}
	}
	lines := list(ctx, o)
	passed := checkup.Passed(lines)
	if asJSON {
		out, err := json.MarshalIndent(map[string]any{"ok": passed, "checks": lines}, "", "  ")
		if err != nil {
			return err
		}
		fmt.Println(string(out))
	}
	if !passed {
		return exitCode(1)
	}
	return nil
}
