package httpapi

// NewProbes makes the small server of a process without an API: /healthz, /readyz and /metrics. It takes any Host, for
// probes come by address, and nothing that it tells is anybody's own.
func NewProbes(d Deps, o Options) *Server { return newServer(d, o, true) }
