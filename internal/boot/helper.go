package boot

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"sandpiper/internal/localdaytona"
)

// Helper must be called first in main, and in TestMain of every package that opens a house: when this process was
// started as one of our helpers (a sandbox's daemon, the offline model) it does that helper's work and exits.
func Helper() {
	if localdaytona.IsDaemon() {
		os.Exit(localdaytona.DaemonMain())
	}
	if os.Getenv(helperVar) != "model" {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := serveModel(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sandpiper model:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
