package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"sandpiper/internal/cli"
	"sandpiper/internal/snapshots"
)

func pruneSnapshotsCommand() *cobra.Command {
	var keep int
	var dry bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete our snapshots that nothing uses, but for the newest",
		Long: `Delete our snapshots that nothing uses, but for the newest, and those that failed. These stay: the current one, the one
that SANDPIPER_SNAPSHOT names, those of which there are sandboxes in the deployment's database or on the platform, those that are
being built, and the newest ones. Snapshots without our prefix and a time in their names are not looked at.

It must be able to ask the database who uses what; where it cannot, it deletes nothing. For some ten seconds after the
current snapshot was changed, workers still make sandboxes from the one before.`,
		Example: `  sandpiper snapshot prune --dry-run
  sandpiper snapshot prune --keep 1`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().IntVar(&keep, "keep", 3, "how many of the newest stay, whether they are used or not")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be deleted, and delete nothing")
	return inYard(cmd, nil, func(ctx context.Context, y yard, _ []string) error {
		if keep < 0 {
			return errors.New("--keep must not be negative")
		}
		return y.prune(ctx, keep, dry)
	})
}

func (y yard) prune(ctx context.Context, keep int, dry bool) error {
	uses, unknown, err := y.uses(ctx)
	if unknown != nil {
		return fmt.Errorf("nothing was deleted, for who uses what is not known: %w", unknown)
	}
	if err != nil {
		return err
	}
	all, err := y.platform.Snapshots(ctx, "")
	if err != nil {
		return err
	}
	var faults []error
	gone := 0
	for _, v := range snapshots.Judge(all, y.cfg.Prefix, keep, uses) {
		word := "keep"
		if !v.Keep {
			word = "would delete"
			if !dry {
				word = "deleted"
				err = y.platform.DeleteSnapshot(ctx, v.ID)
			}
		}
		if err != nil {
			word, v.Why = "not deleted", err.Error()
			faults = append(faults, fmt.Errorf("delete %s: %w", v.Name, err))
		} else if !v.Keep {
			gone++
		}
		err = errors.Join(y.judged(word, v), ctx.Err())
		if err != nil {
			return errors.Join(append(faults, err)...)
		}
	}
	if gone == 0 && len(faults) == 0 {
		y.screen.Line("there is nothing to delete")
	}
	return errors.Join(faults...)
}

// judged shows what became of one snapshot.
func (y yard) judged(word string, v snapshots.Verdict) error {
	if y.asJSON {
		return writeJSON(struct {
			snapshots.Verdict
			Done string `json:"done"`
		}{v, word})
	}
	_, err := fmt.Printf("%-12s  %s  (%s)\n", word, cli.OneLine(v.Name), cli.OneLine(v.Why))
	return err
}
