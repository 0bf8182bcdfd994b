package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTime is how long a process may take to say that it is well.
const healthTime = 3 * time.Second

func healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health URL",
		Short: "Ask a process whether it is well: exit code 0 when URL answers with 200, for the health check of a container",
		Long: `Ask a process whether it is well, for the health check of a container whose image has no other program that could.
The exit code is 0 when URL answers with 200 within 3 seconds. What else it answers is printed.`,
		Example: `  sandpiper health http://127.0.0.1:8787/readyz       # an api; a worker has port 8788
  sandpiper health http://127.0.0.1:3986/api/health   # a local Daytona
  sandpiper health http://127.0.0.1:3987/             # an offline model`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return healthy(cmd.Context(), args[0]) },
	}
}

func healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask for the health: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask for the health: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("ask for the health: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %d: %s", url, resp.StatusCode, strings.TrimSpace(string(said)))
	}
	return nil
}
