// Command worker runs jobs: it follows hints, launches prompts in sandboxes and keeps the fleet in order, beside others of
// its kind, on Postgres and Redis. It serves /healthz, /readyz and /metrics and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"sandpiper/internal/boot"
	"sandpiper/internal/config"
	"sandpiper/internal/telemetry"
)

func main() {
	if err := run(boot.UntilInterrupted()); err != nil {
		fmt.Fprintln(os.Stderr, "sandpiper worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cfg, err := config.Load(os.Environ(), config.RoleWorker)
	if err != nil {
		return fmt.Errorf("the configuration is wrong:\n%w", err)
	}
	house, err := boot.Open(ctx, cfg, boot.Options{Log: telemetry.Logger(os.Stderr, cfg.LogFormat, cfg.LogLevel)})
	if err != nil {
		return err
	}
	fmt.Println("sandpiper worker:", house.URL())
	return errors.Join(house.Run(ctx), house.Close())
}
