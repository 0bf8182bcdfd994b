// Command api takes requests: HTTP, SSE and WebSockets, beside others of its kind, on Postgres and Redis. It runs no job
// and holds no key of the model; commands worker do, and have one.
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
		fmt.Fprintln(os.Stderr, "sandpiper api:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cfg, err := config.Load(os.Environ(), config.RoleAPI)
	if err != nil {
		return fmt.Errorf("the configuration is wrong:\n%w", err)
	}
	house, err := boot.Open(ctx, cfg, boot.Options{Log: telemetry.Logger(os.Stderr, cfg.LogFormat, cfg.LogLevel)})
	if err != nil {
		return err
	}
	fmt.Println("sandpiper api:", house.URL())
	return errors.Join(house.Run(ctx), house.Close())
}
