package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"sandpiper/client"
	"sandpiper/internal/cli"
)

func runCommand() *cobra.Command {
	var api string
	var timeout time.Duration
	var retry client.Retry
	var r cli.Run
	cmd := &cobra.Command{
		Use:   "run [PROMPT | -]",
		Short: "Run one prompt and print its answer",
		Long: `Run one prompt as a job and print its answer.

The answer goes to standard output and nothing else does; what happens meanwhile goes to standard error. The exit code
is the job's: 0 only when it succeeded. With - as the prompt, or with none, the prompt is read from standard input,
byte for byte.

With --stream the text is shown while it is written. On a terminal that is where the answer stands then; it is printed
again only if it is not what was shown, as when there were words between calls of tools. When standard output is a file
or a pipe, the text goes to standard error, and standard output gets the answer once, whole, at the end.

Ctrl-C asks for the job's end and waits for it; a second one leaves at once. Closing the terminal leaves the job
running: sandpiper jobs finds it again, and sandpiper job -f goes on watching.`,
		Example: `  sandpiper run "What is the square root of 16?"
  sandpiper run - < question.txt > answer.txt
  sandpiper run --stream "Tell me a long story"
  git diff | sandpiper run --model haiku --timeout 2m
  sandpiper run --json "What is 2 + 2?" 2>/dev/null | jq .costUsd
  sandpiper run --user ada --sandbox sbx_… "And what did I ask before?"`,
		Args: onePrompt,
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := apiKey()
			if err != nil {
				return err
			}
			if r.Job.UserID == "" && key == "" {
				r.Job.UserID = "me"
			}
			if r.Job.Input, err = prompt(args, os.Stdin); err != nil {
				return err
			}
			if r.Job.TimeoutSeconds, err = wholeSeconds(timeout); err != nil {
				return err
			}
			if retry != (client.Retry{}) {
				r.Job.Retry = &retry
			}
			if r.API, err = connect(api, r.Job.UserID); err != nil {
				return err
			}
			r.Out, r.Screen = os.Stdout, cli.NewScreen(os.Stderr)
			exit, err := r.Run(cmd.Context())
			return ending(exit, asked(api, err))
		},
	}
	addAPI(cmd, &api)
	flags := cmd.Flags()
	flags.StringVar(&r.Job.UserID, "user", "", `in whose name it runs (default: that of the key; without one "me")`)
	flags.StringVar(&r.Job.Model, "model", "", `"sonnet", "haiku", "opus" or a full id (default: the API's, "sonnet")`)
	flags.StringVar(&r.Job.SandboxID, "sandbox", "", "a sandbox of that user's (default: one from the user's pool)")
	flags.BoolVar(&r.Job.FreshSandbox, "fresh-sandbox", false, "run it in a sandbox that no job of before has used")
	flags.DurationVar(&timeout, "timeout", 0, "how long it may run, such as 90s or 2h (default: the API's, one hour)")
	flags.StringVar(&r.Job.OutputFormat, "output-format", "", `"text", or "json" for the command's own result object (default "text")`)
	flags.StringVar(&r.Job.Priority, "priority", "", `"interactive", "default" or "bulk" (default "interactive")`)
	flags.IntVar(&retry.MaxAttempts, "max-attempts", 0, "how often it may be launched while failures cost nothing, 1 to 10 (default: the API's, 3)")
	flags.BoolVar(&retry.AfterSpend, "after-spend", false, "launch it again also when a failed try was paid: it may be paid several times")
	flags.BoolVar(&r.Job.Stream, "stream", false, "show the text while it is written; on stdout only if that is a terminal")
	flags.BoolVar(&r.JSON, "json", false, "print the whole job as JSON instead of its answer")
	return cmd
}

// onePrompt refuses words that the shell has split.
func onePrompt(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("a prompt is one argument, and these are %d: put it in quotes, or give - and pipe it in", len(args))
	}
	return nil
}

// mostInput is far above what any API takes; it keeps a pipe that never ends from filling the memory.
const mostInput = 64 << 20

// prompt is the argument or, for "-" and none, all of stdin.
func prompt(args []string, stdin *os.File) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return whole(args[0])
	}
	if info, err := stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		if len(args) == 0 && cli.IsTerminal(stdin) {
			return "", errors.New(`a prompt is missing: sandpiper run "What is 2 + 2?", or - to type or pipe one in`)
		}
		if cli.IsTerminal(stdin) {
			fmt.Fprintln(os.Stderr, "reading the prompt; end it with Ctrl-D on a line of its own")
		}
	}
	raw, err := io.ReadAll(io.LimitReader(stdin, mostInput+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the prompt: %w", err)
	case len(raw) > mostInput:
		return "", fmt.Errorf("read the prompt: it is longer than %d bytes", mostInput)
	}
	return whole(string(raw))
}

// whole refuses what JSON cannot carry as it is: the prompt would arrive changed.
func whole(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", errors.New("the prompt is not valid UTF-8, and must arrive as it is: convert it first, for example with iconv")
	}
	return text, nil
}

// wholeSeconds rounds up: nobody gets less time than was asked for.
func wholeSeconds(d time.Duration) (int, error) {
	if d < 0 {
		return 0, errors.New("--timeout must not be negative")
	}
	return int((d + time.Second - 1) / time.Second), nil
}

// ending is an exit code as an error, unless there is a real one.
func ending(exit int, err error) error {
	if err == nil && exit != 0 {
		return exitCode(exit)
	}
	return err
}
