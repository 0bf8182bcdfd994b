package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Watched is a master and its replica under the eyes of Sentinels, who make the replica master when the master is gone
// for a second.
type Watched struct {
	Master, Replica *Server
	Sentinels       []*Server
}

// StartSentinels runs a Watched with so many Sentinels until t ends.
func StartSentinels(t testing.TB, sentinels int, options ...string) *Watched {
	t.Helper()
	return startSentinels(t, plain, sentinels, options...)
}

// StartSecureSentinels is StartSentinels with TLS, between them too.
func StartSecureSentinels(t testing.TB, sentinels int) *Watched {
	t.Helper()
	return startSentinels(t, secure(t), sentinels)
}

func startSentinels(t testing.TB, how speech, sentinels int, options ...string) *Watched {
	t.Helper()
	w := &Watched{Master: start(t, how, options...)}
	host, port, _ := net.SplitHostPort(w.Master.addr)
	w.Replica = start(t, how, append([]string{"--replicaof", host + " " + port, "--repl-diskless-sync-delay", "0"}, options...)...)
	for range sentinels {
		w.Sentinels = append(w.Sentinels, sentinel(t, how, host, port, sentinels/2+1))
	}
	for _, s := range w.Sentinels {
		wait(t, "each sentinel knows the others and the replica", func() bool {
			others, _ := s.do(t.Context(), "sentinel", "sentinels", "house")
			replicas, _ := s.do(t.Context(), "sentinel", "replicas", "house")
			known := fmt.Sprint(replicas)
			return length(others) == sentinels-1 && length(replicas) == 1 && strings.Contains(known, "master-link-status ok")
		})
	}
	return w
}

// URL is what REDIS_URL would be.
func (w *Watched) URL() string { return seeds(w.Sentinels) + "master_name=house" }

// sentinel runs one Sentinel, which keeps what it learns in its own configuration.
func sentinel(t testing.TB, how speech, host, port string, quorum int) *Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor house %s %s %d\nsentinel down-after-milliseconds house 1000\nsentinel failover-timeout house 5000\n", host, port, quorum)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, dir := &Server{how: how, addr: free(t)}, t.TempDir()
	_, own, _ := net.SplitHostPort(s.addr)
	s.body = &process{dir: dir, args: append([]string{path, "--sentinel", "--bind", "127.0.0.1", how.port, own, "--dir", dir, "--logfile", "log"}, how.more...)}
	t.Cleanup(s.kill)
	if !s.run(t) {
		t.Fatalf("the sentinel does not start:\n%s", s.body.log())
	}
	return s
}

func length(reply any) int {
	list, _ := reply.([]any)
	return len(list)
}

// seeds are the addresses of all servers and whom to trust, as the beginning of a URL that has more to say.
func seeds(servers []*Server) string {
	text := servers[0].URL() + "?"
	for _, s := range servers[1:] {
		text += "addr=" + s.addr + "&"
	}
	if ca := servers[0].how.ca; ca != "" {
		text += "ca_file=" + ca + "&"
	}
	return text
}
