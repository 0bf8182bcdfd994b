package boot

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"sandpiper/internal/queue"
	"sandpiper/internal/redistest"
)

// evicting is a Redis that deletes hints when its memory is full.
func evicting(t *testing.T) *redistest.Server {
	t.Helper()
	return redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
}

func openOn(t *testing.T, redisURL string) (*House, error) {
	t.Helper()
	cfg := load(t, "SANDPIPER_ADDR=127.0.0.1:0", "SANDPIPER_EXECUTOR=noop", "ANTHROPIC_API_KEY=none", "REDIS_URL="+redisURL)
	return Open(t.Context(), cfg, Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

func TestARedisThatDeletesHintsStopsTheStart(t *testing.T) {
	house, err := openOn(t, evicting(t).URL())
	if err == nil {
		defer house.Close()
	}
	if !errors.Is(err, queue.ErrPolicy) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Open = %v, want ErrPolicy in one line", err)
	}
}

func TestARedisThatIsAwayAtTheStartIsJudgedWhenItComes(t *testing.T) {
	s := evicting(t)
	s.Stop(t)
	house, err := openOn(t, s.URL())
	if err != nil {
		t.Fatalf("Open while Redis is away: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- house.Run(context.WithoutCancel(t.Context())) }()
	s.Restart(t)
	if err := <-ended; !errors.Is(err, queue.ErrPolicy) {
		t.Errorf("Run = %v, want ErrPolicy", err)
	}
	if err := house.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}
