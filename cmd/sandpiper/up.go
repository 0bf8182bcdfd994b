package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sandpiper/internal/boot"
	"sandpiper/internal/cli"
	"sandpiper/internal/config"
	"sandpiper/internal/telemetry"
)

func upCommand() *cobra.Command {
	var try, once bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the API, a worker and every embedded default in one process",
		Long: `Run the API, a worker and every embedded default in one process: a SQLite database, a Redis, local sandboxes
and, without ANTHROPIC_API_KEY, an offline model that says that it is not Claude. Each default is replaced by one
variable (docs/config.md).

Ctrl-C leaves running prompts running: the next up goes on with them, and sandpiper stop ends them.`,
		Example: `  sandpiper up
  SANDPIPER_TRY="What is the square root of 16?" sandpiper up --try --once`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			prompt := ""
			if try || once {
				prompt = cmp.Or(os.Getenv("SANDPIPER_TRY"), "What is the square root of 16?")
			}
			return up(cmd.Context(), prompt, once)
		},
	}
	cmd.Flags().BoolVar(&try, "try", false, "send a first job, the prompt in SANDPIPER_TRY, and show how it is answered")
	cmd.Flags().BoolVar(&once, "once", false, "like --try, then exit with the job's exit code")
	return cmd
}

// up opens a house, runs it until ctx ends, and says what is left running.
func up(ctx context.Context, prompt string, once bool) error {
	cfg, err := config.Load(os.Environ(), config.RoleUp)
	if err != nil {
		return fmt.Errorf("the configuration is wrong:\n%w", err)
	}
	log := telemetry.Logger(os.Stderr, cfg.LogFormat, quiet(cfg.LogLevel, prompt))
	house, err := boot.Open(ctx, cfg, boot.Options{Log: log, Progress: os.Stderr})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	code := make(chan exitCode, 1)
	go func() { code <- first(ctx, house, prompt, once, stop) }()
	err = house.Run(ctx)
	stop()
	exit := <-code
	err = errors.Join(err, leave(house))
	if err == nil && once && exit != 0 {
		return exit
	}
	return err
}

// quiet keeps the log out of the first job's way: a newcomer watches the events, not our notes.
func quiet(level, prompt string) string {
	if prompt != "" && level == "info" {
		return "warn"
	}
	return level
}

// first sends the first job, if there is one, and says what to do next; after once it ends the house.
func first(ctx context.Context, house *boot.House, prompt string, once bool, stop func()) exitCode {
	select {
	case <-house.Reached():
	case <-ctx.Done():
		return 0
	}
	exit := 0
	if prompt != "" {
		var err error
		if exit, err = firstJob(ctx, house, prompt); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "sandpiper:", asked(house.URL(), err))
		}
	}
	if once {
		stop()
	} else if ctx.Err() == nil {
		cli.Next(os.Stdout, house.URL(), house.Data(), house.Keyed(), house.Offline())
	}
	return exitCode(exit)
}

// firstJob sends it like any caller: where a key is needed, with that of the environment.
func firstJob(ctx context.Context, house *boot.House, prompt string) (exit int, err error) {
	f := cli.First{API: house.URL(), Prompt: prompt, User: "me", Offline: house.Offline(), Out: os.Stdout}
	if house.Keyed() {
		if f.Key, err = apiKey(); err != nil {
			return 1, err
		}
		f.User = ""
	}
	return f.Run(ctx)
}

// leave closes the house and says what goes on without it.
func leave(house *boot.House) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	left, err := house.Leave(ctx)
	err = errors.Join(err, house.Close())
	if err == nil && left.Running > 0 {
		fmt.Fprintf(os.Stderr, "sandpiper: stopped. Prompts that go on in their sandboxes: %d. The next `sandpiper up` follows them to their end; `sandpiper stop` ends them now.\n", left.Running)
	}
	return err
}
