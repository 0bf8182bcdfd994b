package main

import (
	"os"

	"github.com/spf13/cobra"

	"sandpiper/internal/cli"
)

func lanesCommand() *cobra.Command {
	var api string
	var l cli.Lanes
	cmd := &cobra.Command{
		Use:   "lanes",
		Short: "List the lanes to the models: which are open, and why not",
		Long: `List the lanes in which something runs, or in which something ever went wrong. A lane is the way of one key to one
model. When the model API limits it, it pauses by itself and opens again, with one job first; when the API refuses the
key or the account, it is parked until somebody has put that right and clears it.`,
		Example: `  sandpiper lanes
  sandpiper lanes clear lane_…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if l.API, err = connect(api, ""); err != nil {
				return err
			}
			l.Out, l.Screen = os.Stdout, cli.NewScreen(os.Stdout)
			return asked(api, l.List(cmd.Context()))
		},
	}
	addAPI(cmd, &api)
	cmd.Flags().BoolVar(&l.JSON, "json", false, "one lane a line, as JSON")
	cmd.AddCommand(clearLaneCommand())
	return cmd
}

func clearLaneCommand() *cobra.Command {
	var api string
	var l cli.Lanes
	cmd := &cobra.Command{
		Use:   "clear ID",
		Short: "Try a lane again that is parked or paused",
		Long: `Try a lane again that is parked or paused: one job goes first, and when the model answers it, twice as many each time.
Clear it when the key or the account has been put right. Asking twice does no harm.`,
		Example: "  sandpiper lanes clear lane_…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if l.API, err = connect(api, ""); err != nil {
				return err
			}
			l.Out, l.Screen = os.Stdout, cli.NewScreen(os.Stdout)
			return asked(api, l.Clear(cmd.Context(), args[0]))
		},
	}
	addAPI(cmd, &api)
	cmd.Flags().BoolVar(&l.JSON, "json", false, "the lane as JSON")
	return cmd
}
