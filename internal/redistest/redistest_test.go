package redistest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestARestartLosesWhatWasKept(t *testing.T) {
	s := redistest.Start(t)
	s.Do(t, "set", "key", "value")
	if got := s.Do(t, "get", "key"); got != "value" {
		t.Fatalf("get = %v", got)
	}
	s.Restart(t)
	if got := s.Do(t, "get", "key"); got != nil {
		t.Errorf("after a restart get = %v, want nothing", got)
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	s := redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	if got := s.Do(t, "config", "get", "maxmemory-policy").([]any); got[1] != "allkeys-lru" {
		t.Errorf("maxmemory-policy = %v", got)
	}
}

func TestAPausedServerAcceptsAndSaysNothing(t *testing.T) {
	s := redistest.Start(t)
	s.Pause(t)
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatalf("dial a paused server: %v", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 7)
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(answer); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a paused server says %q, %v", answer[:n], err)
	}
	s.Resume(t)
	c.SetReadDeadline(time.Time{})
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "+PONG\r\n" {
		t.Errorf("then it says %q, %v", answer, err)
	}
}

func TestASlowAnswerIsWholeAndLate(t *testing.T) {
	slow := redistest.StartSlow(t, redistest.Start(t).Addr())
	c, err := net.Dial("tcp", strings.TrimPrefix(slow.URL(), "redis://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, late := range []time.Duration{0, 300 * time.Millisecond} {
		slow.Delay(late)
		begun, answer := time.Now(), make([]byte, 7)
		if _, err := c.Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "+PONG\r\n" || time.Since(begun) < late {
			t.Errorf("it says %q, %v after %v, want that after %v", answer, err, time.Since(begun), late)
		}
	}
}

func TestASecureServerSpeaksNothingButTLS(t *testing.T) {
	s := redistest.StartTLS(t)
	if got := s.Do(t, "ping"); got != "PONG" || !strings.HasPrefix(s.URL(), "rediss://") {
		t.Errorf("ping = %v at %s", got, s.URL())
	}
}

func TestSentinelsReplaceAMasterThatIsGone(t *testing.T) {
	w := redistest.StartSentinels(t, 3)
	w.Master.Stop(t)
	deadline := time.Now().Add(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		role, err := w.Replica.Try(t.Context(), "info", "replication")
		if err == nil && strings.Contains(role.(string), "role:master") {
			return
		}
		if <-tick.C; time.Now().After(deadline) {
			t.Fatalf("the replica was never made master: %v", err)
		}
	}
}

func TestAClusterIsWhole(t *testing.T) {
	c := redistest.StartCluster(t)
	for _, n := range c.Nodes {
		if got := n.Do(t, "cluster", "info").(string); !strings.Contains(got, "cluster_size:3") {
			t.Errorf("cluster info of %s:\n%s", n.Addr(), got)
		}
	}
}
