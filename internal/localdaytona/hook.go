package localdaytona

import (
	"fmt"
	"os"

	"sandpiper/internal/localdaytona/daemon"
)

// modeVariable tells this program, started again by itself, what it is. It never reaches a command in a sandbox.
const (
	modeVariable = "SANDPIPER_LOCALDAYTONA"
	modeDaemon   = "daemon"
	modeProbe    = "probe"
)

// IsDaemon reports whether this process was started as a sandbox's daemon. It must be asked first in main, and in the
// TestMain of every test binary that starts a Server: if so, exit with DaemonMain's code.
func IsDaemon() bool { return os.Getenv(modeVariable) != "" }

// DaemonMain is the daemon's whole life, and its exit code. See IsDaemon.
func DaemonMain() int {
	if os.Getenv(modeVariable) == modeDaemon {
		return daemon.Main()
	}
	if err := daemon.Probe(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
