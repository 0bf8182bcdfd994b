package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sandpiper/internal/config"
	"sandpiper/internal/store"
	"sandpiper/internal/telemetry"
)

// pendingCode is the exit code of `migrate status` when the schema is older than this program.
const pendingCode exitCode = 3

func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of a Postgres up to date, or say what it lacks",
		Long: `Bring the schema of the Postgres at DATABASE_URL up to date, or say what it lacks.

api and worker refuse to start on a schema that is older than they are; run sandpiper migrate up before them. A newer
schema is fine for them, unless a step of it took away what they need, so that the order of a deployment is: migrate up
with the new program, while the old ones work on; then replace them one by one. sandpiper up migrates by itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(migrateUpCommand(), migrateStatusCommand())
	return cmd
}

// database reads the configuration of a command that needs nothing but the database.
func database() (config.Config, error) {
	cfg, err := config.Load(os.Environ(), config.RoleMigrate)
	if err != nil {
		return cfg, fmt.Errorf("the configuration is wrong:\n%w", err)
	}
	return cfg, nil
}

func migrateUpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "up",
		Short:   "Apply every migration that the database does not have; twice does no harm",
		Example: `  DATABASE_URL=postgres://sandpiper@db.example/sandpiper sandpiper migrate up`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := database()
			if err != nil {
				return err
			}
			from, to, err := store.Migrate(cmd.Context(), cfg.Database(), telemetry.Logger(io.Discard, "text", "error"))
			switch {
			case err != nil:
				return err
			case from == to:
				fmt.Printf("the schema has version %d already\n", to)
			default:
				fmt.Printf("the schema went from version %d to %d\n", from, to)
			}
			return nil
		},
	}
}

func migrateStatusCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List the migrations, and which of them the database has",
		Long: `List the migrations that this program knows, and which of them the database has.

Exit code 0: it has them all; 3: it lacks some; 1: it could not be asked.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := database()
			if err != nil {
				return err
			}
			steps, err := store.SchemaStatus(cmd.Context(), cfg.Database())
			if err != nil {
				return err
			}
			if err := showSteps(os.Stdout, steps, asJSON); err != nil {
				return err
			}
			for _, s := range steps {
				if s.Applied.IsZero() {
					return pendingCode
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs: an array of {version, name, applied}")
	return cmd
}

func showSteps(w io.Writer, steps []store.Migration, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(steps)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range steps {
		when := "not yet: run sandpiper migrate up"
		if !s.Applied.IsZero() {
			when = s.Applied.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\n", s.Version, s.Name, when)
	}
	return t.Flush()
}
