package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// mainVar makes this test binary the command itself.
const mainVar = "TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainVar) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// outcome runs the command with these variables and no others.
func outcome(t *testing.T, vars ...string) (code int, said string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append([]string{mainVar + "=1"}, vars...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestNothingIsEmbedded(t *testing.T) {
	code, said := outcome(t)
	for _, name := range needed {
		if !strings.Contains(said, name+" must be set") {
			t.Errorf("%s is not named in\n%s", name, said)
		}
	}
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func TestEveryFaultIsNamedAtOnce(t *testing.T) {
	code, said := outcome(t, "DATABASE_URL=sqlite:/tmp/db", "REDIS_URL=http://:hush@h", "DAYTONA_API_KEY=k", "ANTHROPIC_API_KEY=k", "LOG_LEVEL=loud")
	for _, name := range []string{"DATABASE_URL must be postgres://", "REDIS_URL must be", "LOG_LEVEL must be"} {
		if !strings.Contains(said, name) {
			t.Errorf("%q is not in\n%s", name, said)
		}
	}
	if code != 1 || strings.Contains(said, "hush") {
		t.Errorf("exit code %d\n%s", code, said)
	}
}

var needed = []string{"DATABASE_URL", "REDIS_URL"}
