// Package daemon is the small process inside each local sandbox: it owns the sandbox's sessions, one-shot commands,
// logs and files, and serves the toolbox half of the public Daytona protocol on a unix socket that it inherits.
//
// It is PID 1 of its sandbox (or, without isolation, a child subreaper), so it reaps every orphan, and exactly one
// place in it waits for children (reaper). It never trusts what runs in the sandbox: commands run as another user
// where that is possible, files are touched with that user's rights, and no path of this machine, no socket and no
// secret is in its command line or environment.
//
// Nothing of it survives its end except the sandbox's files: sessions, their commands and logs are the daemon's.
package daemon
