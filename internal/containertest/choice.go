package containertest

import (
	"fmt"
	"os"
	"sync"
	"testing"
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

// Wanted reports whether t's server comes in a container.
func Wanted(t testing.TB) bool {
	t.Helper()
	c, err := Choose()
	if err != nil {
		t.Fatal(err)
	}
	return c.Containers
}
