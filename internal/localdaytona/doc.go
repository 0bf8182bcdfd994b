// Package localdaytona is an embedded server of the public Daytona REST protocol whose sandboxes are local processes.
//
// It has two halves that never share memory. The control plane (this package) lives in the server's process: records
// of sandboxes on disk, their lifecycle, and a proxy to their toolboxes. Each sandbox has one small daemon of its own
// (package daemon; the same binary re-executed) that owns the sandbox's sessions, commands, logs and files and serves
// the toolbox API on a unix socket. A daemon is detached: kill -9 of the server leaves it running, and the next
// server finds it again by its record (pid, start time and boot id) and its socket.
//
// Where bubblewrap works, the daemon is PID 1 in a sandbox that sees only named places of this machine, read-only, its
// own home and nothing else; where it does not, the daemon is a child subreaper and there is no isolation. What works
// is tried once, by New. The network is this machine's either way.
//
// The truth about a sandbox lives in its folder below Options.Dir. A record holds the sandbox's environment, secrets
// included, because the protocol starts a stopped sandbox with the environment of its creation: folders have mode
// 0700, records 0600, and no secret ever stands in a command line.
package localdaytona
