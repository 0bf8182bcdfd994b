package boot

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// UntilInterrupted gives a context that the first SIGINT or SIGTERM ends; the second one ends the program, also where the
// shell that started it in the background had these signals ignored. It is for main.
func UntilInterrupted() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		second := <-signals
		os.Exit(128 + int(second.(syscall.Signal)))
	}()
	return ctx
}
