package snapshots

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"sandpiper/internal/localdaytona"
)

func TestMain(m *testing.M) {
	if localdaytona.IsDaemon() {
		os.Exit(localdaytona.DaemonMain())
	}
	goleak.VerifyTestMain(m)
}
