package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sandpiper/client"
	"sandpiper/internal/cli"
	"sandpiper/internal/httpapi"
)

func batchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "batch",
		Short: "Many prompts at once: lines of JSON in, lines of JSON out",
		Long: `Many prompts at once. A batch comes from lines of JSON, {"custom_id", "input"} and the options of a prompt, and its
results are lines of JSON in the same order. All lines are accepted, or none; then they run, whether anybody waits or not.

With --wait a command goes on until all jobs have ended, and ends with 0 only if all of them succeeded (cancel: if it was
asked). Ctrl-C ends the waiting and leaves the batch running; the last line says how to come back to it.`,
		Example: `  jq -nc 'range(100) | {custom_id: "q\(.)", input: "What is \(.) + 1?"}' > prompts.jsonl
  sandpiper batch submit prompts.jsonl -o answers.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(batchSubmitCommand(), batchStatusCommand(), batchResultsCommand(), batchCancelCommand(), batchRetryCommand())
	return cmd
}

// mostLine is the longest line that a check lets through: what an API takes unless it was told otherwise.
const mostLine = 8 << 20

func batchSubmitCommand() *cobra.Command {
	var s client.SubmitBatch
	var check bool
	cmd, with := aboutBatch("submit FILE | -", "Send a file of prompts, a line of JSON for each", "", "wait", "output", "json")
	cmd.Long = `Send a file of prompts, or with - standard input, and print the batch's id. The lines are sent as they are read, so there
may be more of them than memory holds, up to 1,000,000. All of them are accepted, or none: lines with a fault are named and
refuse the whole, or with --skip-bad are left out. An upload that breaks off leaves nothing behind. A file is sent again
after a lost connection, and is one batch all the same; what comes from a pipe is sent once.

--dry-run checks every line here and sends nothing.`
	cmd.Example = `  sandpiper batch submit --dry-run prompts.jsonl
  id=$(sandpiper batch submit prompts.jsonl)
  sandpiper batch submit --skip-bad prompts.jsonl -o answers.jsonl
  make-prompts | sandpiper batch submit - -o - | jq -r .result.text`
	with.run = func(ctx context.Context, b cli.Batch, api, file string) (int, error) {
		lines, size, err := linesOf(file)
		if err != nil {
			return 1, err
		}
		defer lines.Close()
		if check {
			good, bad, err := httpapi.CheckLines(lines, mostLine, func(line int, customID, pointer, must string) {
				b.Bad(client.FieldError{Line: line, CustomID: customID, Pointer: pointer, Detail: must})
			})
			if err != nil {
				return 1, fmt.Errorf("check the lines: %w", err)
			}
			return b.Checked(good, bad, s.SkipBad)
		}
		key, err := apiKey()
		if err != nil {
			return 1, err
		}
		if s.UserID = with.user; s.UserID == "" && key == "" {
			s.UserID = "me"
		}
		s.Lines = lines
		return b.Submit(ctx, s, size)
	}
	flags := cmd.Flags()
	flags.BoolVar(&s.SkipBad, "skip-bad", false, "leave lines with a fault out, and name them, instead of refusing the whole")
	flags.BoolVar(&check, "dry-run", false, "check every line here, name those with a fault, and send nothing")
	flags.StringVar(&s.IdempotencyKey, "idempotency-key", "", "the same lines with the same key are one batch, however often they are sent (default: a new one)")
	flags.Lookup("user").Usage = `whose batch it is (default: that of the key; without one "me")`
	return cmd
}

func batchStatusCommand() *cobra.Command {
	cmd, with := aboutBatch("status ID", "Show how a batch is", "  sandpiper batch status --wait batch_…", "wait", "json")
	cmd.Long = "Show how a batch is: how many of its jobs are in which state, and what is known of their cost."
	with.run = func(ctx context.Context, b cli.Batch, _, id string) (int, error) { return b.Status(ctx, id) }
	return cmd
}

func batchResultsCommand() *cobra.Command {
	cmd, with := aboutBatch("results ID", "Write the results of a batch, a line of JSON for each job",
		"  sandpiper batch results batch_… | jq -r 'select(.state == \"failed\") | .custom_id'", "wait", "output")
	cmd.Long = `Write the results of a batch, a line of JSON for each job, in the order in which they were sent: custom_id, jobId, state,
result, error, usage and costUsd. Jobs that have not ended have their line too. A file gets all of it, or stays as it was.`
	with.run = func(ctx context.Context, b cli.Batch, _, id string) (int, error) { return b.Results(ctx, id) }
	return cmd
}

func batchCancelCommand() *cobra.Command {
	cmd, with := aboutBatch("cancel ID", "Ask for the end of all jobs of a batch", "  sandpiper batch cancel batch_…", "wait", "json")
	cmd.Long = `Ask for the end of all jobs of a batch that have not ended. Those that wait end in steps, soon; those that run end as soon
as everything in their sandboxes has been stopped. Asking twice does no harm.`
	with.run = func(ctx context.Context, b cli.Batch, _, id string) (int, error) { return b.Cancel(ctx, id) }
	return cmd
}

func batchRetryCommand() *cobra.Command {
	var key string
	cmd, with := aboutBatch("retry-failed ID", "Run the jobs of a batch that failed again, as a new batch",
		"  sandpiper batch retry-failed batch_… -o again.jsonl", "wait", "output", "json")
	cmd.Long = `Run the jobs of a batch that failed again: a new batch of the same prompts and options under the same custom_ids, whose id
is printed. The old one stays as it is. What was paid for the old jobs is paid again.`
	cmd.Flags().StringVar(&key, "idempotency-key", "", "asked again with the same key it is the same new batch (default: a new one)")
	with.run = func(ctx context.Context, b cli.Batch, _, id string) (int, error) { return b.RetryFailed(ctx, id, key) }
	return cmd
}

// batchFlags are what the commands about batches have in common, and what one of them does.
type batchFlags struct {
	user string
	run  func(ctx context.Context, b cli.Batch, api, arg string) (exit int, err error)
}

// aboutBatch makes a command with one argument and those flags of them all that are named.
func aboutBatch(use, short, example string, flags ...string) (*cobra.Command, *batchFlags) {
	with := &batchFlags{}
	var api string
	var b cli.Batch
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if b.API, err = connect(api, with.user); err != nil {
				return err
			}
			b.Out, b.Screen = os.Stdout, cli.NewScreen(os.Stderr)
			exit, err := with.run(cmd.Context(), b, api, args[0])
			if errors.Is(err, cli.ErrInterrupted) || cmd.Context().Err() != nil {
				return exitCode(interrupted)
			}
			return ending(exit, asked(api, err))
		},
	}
	addAPI(cmd, &api)
	cmd.Flags().StringVar(&with.user, "user", "", "in whose name to ask (default: that of the key; without one the operator's)")
	for _, name := range flags {
		switch name {
		case "wait":
			cmd.Flags().BoolVar(&b.Wait, "wait", false, "go on until all its jobs have ended")
		case "output":
			cmd.Flags().StringVarP(&b.Output, "output", "o", "", "write the results to this `FILE`, whole or not at all; - is standard output. A new batch is waited for")
		case "json":
			cmd.Flags().BoolVar(&b.JSON, "json", false, "what the API says, as JSON")
		}
	}
	return cmd, with
}

// linesOf opens a file of lines, "-" for stdin. size is 0 where nobody knows.
func linesOf(file string) (lines *os.File, size int64, err error) {
	if lines = os.Stdin; file != "-" {
		if lines, err = os.Open(file); err != nil {
			return nil, 0, err
		}
	} else if cli.IsTerminal(os.Stdin) {
		fmt.Fprintln(os.Stderr, "reading lines; end them with Ctrl-D on a line of its own")
	}
	info, err := lines.Stat()
	switch {
	case err != nil:
		return nil, 0, err
	case info.IsDir():
		return nil, 0, fmt.Errorf("%s is a directory", file)
	case info.Mode().IsRegular():
		size = info.Size()
	}
	return lines, size, nil
}
