package containertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go/log"
)

// Var takes the decision in place of Choose: "containers", "processes", or "" for what this machine has.
const Var = "SANDPIPER_TEST_SERVERS"

// The images, as docker-compose.yml names them.
const (
	Postgres = "postgres:15-bookworm"
	Redis    = "redis:7-bookworm"
)

// Choice is where Postgres and Redis come from.
type Choice struct {
	Containers bool
	Why        string // what this machine has or lacks
}

// String is what is told to people: "containers (…)" or "processes (…)".
func (c Choice) String() string {
	if c.Containers {
		return "containers (" + c.Why + ")"
	}
	return "processes (" + c.Why + ")"
}

// Choose decides once for each process. It fails where Var asks for containers that this machine cannot start, or for nothing it knows.
var Choose = sync.OnceValues(func() (Choice, error) {
	return choose(os.Getenv(Var), look)
})

func choose(asked string, look func() error) (Choice, error) {
	if asked == "processes" {
		return Choice{Why: Var + " says so"}, nil
	}
	lacks := look()
	switch {
	case asked != "" && asked != "containers":
		return Choice{}, fmt.Errorf("%s is %q, and not containers, processes or empty", Var, asked)
	case asked != "" && lacks != nil:
		return Choice{}, fmt.Errorf("%s asks for containers: %w", Var, lacks)
	case lacks != nil:
		return Choice{Why: lacks.Error()}, nil
	}
	return Choice{Containers: true, Why: "an engine and both images are here"}, nil
}

// look returns what this machine lacks.
func look() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	engine, err := client.New(client.FromEnv)
	if err != nil {
		return fmt.Errorf("no Docker engine: %w", err)
	}
	defer engine.Close()
	if _, err := engine.Ping(ctx, client.PingOptions{}); err != nil {
		return errors.New("no Docker engine answers")
	}
	for _, image := range []string{Postgres, Redis} {
		if _, err := engine.ImageInspect(ctx, image); err != nil {
			return fmt.Errorf("no image %s", image)
		}
	}
	return nil
}

// Wanted reports whether t's server comes in a container.
func Wanted(t testing.TB) bool {
	t.Helper()
	c, err := Choose()
	if err != nil {
		t.Fatal(err)
	}
	return c.Containers
}

func init() {
	// Its reaper is an image that is not there. Containers end with their tests; what a killed binary leaves has our label.
	if os.Getenv("TESTCONTAINERS_RYUK_DISABLED") == "" {
		_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	}
	log.SetDefault(log.NewNoopLogger()) // else each binary tells of the engine
}
