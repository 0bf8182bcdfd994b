package main

import (
	"context"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"sandpiper/internal/daytona"
	"sandpiper/internal/localdaytona"
	"sandpiper/internal/offline/scripted"
	"sandpiper/snapshot"
)

// TestACheckupLeavesNothingOnAPlatform: the platform outlives the checkup and is reached by URL and key, as a hosted one.
func TestACheckupLeavesNothingOnAPlatform(t *testing.T) {
	t.Parallel()
	const key = "dtn_hosted_0123456789"
	ctx := context.WithoutCancel(t.Context())
	server, err := localdaytona.New(localdaytona.Options{Dir: t.TempDir(), Key: key, Claude: os.Getenv("SANDPIPER_CLAUDE"), Snapshot: snapshot.Name()})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	defer web.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // Run wants a place of its own; nobody calls there
	if err != nil {
		t.Fatal(err)
	}
	living, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- server.Run(living, ln) }()
	defer func() {
		if err := server.StopAll(ctx); err != nil {
			t.Error(err)
		}
		stop()
		<-ended
	}()
	model := scripted.New(t)
	vars := []string{
		"DAYTONA_API_URL=" + web.URL + "/api", "DAYTONA_API_KEY=" + key, "SANDPIPER_SNAPSHOT=" + snapshot.Name(), "SANDPIPER_CLAUDE=",
		"ANTHROPIC_BASE_URL=" + model.URL(), "ANTHROPIC_API_KEY=" + checkupKey,
	}
	platform := daytona.New(daytona.Options{URL: web.URL + "/api", Key: key})
	defer platform.Close()
	for _, args := range [][]string{{"doctor"}, {"check", "api"}} {
		code, out, said := outcome(t, examined(t, vars, args...))
		if code != 0 || !strings.Contains(out, "✓ cleaned up") || strings.Contains(out, checkupKey) || strings.Contains(out, key) {
			t.Errorf("%v: exit code %d:\n%s%s", args, code, out, said)
		}
		left, err := platform.List(ctx, nil)
		for _, sb := range left {
			if sb.State != daytona.StateDestroyed && sb.State != daytona.StateDestroying {
				t.Errorf("%v left %s, %s", args, sb.Name, sb.State)
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
}
