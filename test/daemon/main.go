// Command daemon is a sandbox's daemon and nothing else, for tests that start hundreds of sandboxes: a test binary with the
// race detector takes a quarter of a second to become one. Whether the daemon has races is for internal/localdaytona's tests,
// whose daemons are test binaries.
package main

import (
	"os"

	"sandpiper/internal/localdaytona"
)

func main() { os.Exit(localdaytona.DaemonMain()) }
