package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sandpiper/client"
	"sandpiper/internal/cli"
)

func jobsCommand() *cobra.Command {
	var api, state string
	l := cli.Jobs{Limit: 20}
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "List jobs, newest first",
		Long: `List jobs, newest first: id, state, age, user, model and cost ("-" until it is known).

With --json each line is one job, with every field that the API gives.`,
		Example: `  sandpiper jobs
  sandpiper jobs --state failed --user ada --limit 100
  sandpiper jobs --json | jq -r 'select(.costUsd > 0.05) | .jobId'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l.State = client.State(state)
			if state != "" && !slices.Contains(states, state) {
				return fmt.Errorf("--state must be one of %s", strings.Join(states, ", "))
			}
			if l.Limit < 1 {
				return fmt.Errorf("--limit must be at least 1")
			}
			var err error
			if l.API, err = connect(api, ""); err != nil {
				return err
			}
			l.Out, l.Screen = os.Stdout, cli.NewScreen(os.Stdout)
			return asked(api, l.List(cmd.Context()))
		},
	}
	addAPI(cmd, &api)
	cmd.Flags().StringVar(&state, "state", "", "only jobs in this state: "+strings.Join(states, ", "))
	cmd.Flags().StringVar(&l.Batch, "batch", "", "only the jobs of this batch")
	cmd.Flags().StringVar(&l.User, "user", "", "only this user's jobs (default: everybody's whom the key may see)")
	cmd.Flags().IntVar(&l.Limit, "limit", l.Limit, "how many")
	cmd.Flags().BoolVar(&l.JSON, "json", false, "one job a line, as JSON")
	return cmd
}

var states = []string{
	string(client.Queued), string(client.Running), string(client.Succeeded), string(client.Failed),
	string(client.Cancelled), string(client.OutcomeUnknown),
}

func jobCommand() *cobra.Command {
	var api, user string
	var v cli.Job
	cmd := &cobra.Command{
		Use:   "job ID",
		Short: "Show one job: its details and its answer, or its events",
		Long: `Show one job: its details and its answer. With --events, what happened to it; with --follow, what happens to it
until it has ended, and then the exit code is the job's.

Watching changes nothing: Ctrl-C ends the watching, not the job.`,
		Example: `  sandpiper job job_…
  sandpiper job job_… --events
  sandpiper job -f job_…
  sandpiper job job_… --json | jq -r .result.text`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if v.API, err = connect(api, user); err != nil {
				return err
			}
			v.ID = args[0]
			v.Out, v.Screen = os.Stdout, cli.NewScreen(os.Stdout)
			exit, err := v.Show(cmd.Context())
			if cmd.Context().Err() != nil {
				return exitCode(interrupted)
			}
			return ending(exit, asked(api, err))
		},
	}
	addAPI(cmd, &api)
	cmd.Flags().StringVar(&user, "user", "", "in whose name to ask (default: that of the key; without one the operator's, who may see all)")
	cmd.Flags().BoolVar(&v.Events, "events", false, "its events instead of its details")
	cmd.Flags().BoolVarP(&v.Follow, "follow", "f", false, "its events as they come, until it has ended")
	cmd.Flags().BoolVar(&v.JSON, "json", false, "JSON: the job, or with --events or --follow one event a line")
	return cmd
}

// interrupted is the exit code of a command that Ctrl-C ended: 128 and the signal's number, as shells have it.
const interrupted = 130

func cancelCommand() *cobra.Command {
	var api, user string
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Ask for a job's end",
		Long: `Ask for a job's end. One that waits ends at once; one that runs ends as soon as everything in its sandbox that
belongs to it has been stopped. Asking twice does no harm.`,
		Example: "  sandpiper cancel job_…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(api, user)
			if err != nil {
				return err
			}
			return asked(api, cli.Cancel(cmd.Context(), c, args[0], os.Stdout))
		},
	}
	addAPI(cmd, &api)
	cmd.Flags().StringVar(&user, "user", "", "in whose name to ask (default: that of the key; without one the operator's)")
	return cmd
}

func retryCommand() *cobra.Command {
	var api, user string
	cmd := &cobra.Command{
		Use:   "retry ID",
		Short: "Run a job that has ended again, as a new job",
		Long: `Run a job that has ended again: a new job with the same prompt and the same options, whose id is printed. The old one
stays as it is. What was paid for the old one is paid again.

A job that went on with a conversation goes on with the same one, behind whatever was said in it since.`,
		Example: `  sandpiper retry job_…
  sandpiper job -f $(sandpiper retry job_…)`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(api, user)
			if err != nil {
				return err
			}
			return asked(api, cli.Retry(cmd.Context(), c, args[0], os.Stdout))
		},
	}
	addAPI(cmd, &api)
	cmd.Flags().StringVar(&user, "user", "", "in whose name to ask (default: that of the key; without one the operator's)")
	return cmd
}
