package redistest

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// Cluster is three masters that share the slots.
type Cluster struct{ Nodes []*Server }

// slots is how many there are in every Cluster (redis.io/docs, "Redis cluster specification").
const slots = 16384

// StartCluster runs a Cluster until t ends.
func StartCluster(t testing.TB, options ...string) *Cluster {
	t.Helper()
	return startCluster(t, plain, options...)
}

// StartSecureCluster is StartCluster with TLS, between the masters too.
func StartSecureCluster(t testing.TB) *Cluster {
	t.Helper()
	return startCluster(t, secure(t))
}

func startCluster(t testing.TB, how speech, options ...string) *Cluster {
	t.Helper()
	const masters = 3
	c := &Cluster{}
	for i := range masters {
		_, bus, _ := net.SplitHostPort(free(t))
		s := start(t, how, append([]string{"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000"}, options...)...)
		s.Do(t, "cluster", "addslotsrange", i*slots/masters, (i+1)*slots/masters-1)
		s.Do(t, "cluster", "set-config-epoch", i+1)
		if i > 0 {
			host, port, _ := net.SplitHostPort(s.addr)
			c.Nodes[0].Do(t, "cluster", "meet", host, port, bus)
		}
		c.Nodes = append(c.Nodes, s)
	}
	for _, s := range c.Nodes {
		wait(t, "the cluster is whole", func() bool {
			info, _ := s.do(t.Context(), "cluster", "info")
			text := fmt.Sprint(info)
			return strings.Contains(text, "cluster_state:ok") && strings.Contains(text, fmt.Sprintf("cluster_slots_ok:%d", slots))
		})
	}
	return c
}

// URL is what REDIS_URL would be.
func (c *Cluster) URL() string { return strings.TrimRight(seeds(c.Nodes), "&") }

// Of is the master that has key.
func (c *Cluster) Of(t testing.TB, key string) *Server {
	t.Helper()
	for i, s := range c.Nodes {
		if c.Nodes[0].Do(t, "cluster", "keyslot", key).(int64) < int64((i+1)*slots/len(c.Nodes)) {
			return s
		}
	}
	panic("unreachable: every slot has a master")
}
