package localdaytona

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sandpiper/internal/localdaytona/daemon"
)

// What Isolation answers.
const (
	bubblewrap     = "bubblewrap"
	withUserns     = "bubblewrap with a user namespace"
	withoutIsolate = "none"
)

// daytonaUser is who commands run as in a bubblewrap: an ordinary user, never root.
var daytonaUser = daemon.User{UID: 1000, GID: 1000}

// Places inside a bubblewrap.
const (
	homeInside     = "/home/daytona"
	workInside     = homeInside + "/workspace"
	sessionsInside = "/var/lib/daytona/sessions"
	pipesInside    = "/run/daytona"
	daemonInside   = "/opt/sandpiper/daemon"
	claudeInside   = "/usr/local/bin/claude"
	searchInside   = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
)

// isolation is one way to start a sandbox's daemon.
type isolation struct {
	name    string
	program string // path of what a sandbox's daemon runs
	bwrap   string // path of bubblewrap; "" means none
	etc     string // folder with the passwd and group that a sandbox sees
}

func (i isolation) contained() bool { return i.bwrap != "" }

// user is who commands run as; nil means whoever the daemon is.
func (i isolation) user() *daemon.User {
	if i.name == bubblewrap {
		return &daytonaUser
	}
	return nil
}

// candidate is the one way worth trying. As root no user namespace is made: a container's root often may not mount
// /proc in one, and what runs there would still be root to the machine's files. An ordinary user has no other way.
func candidate(program, bwrap, etc string) isolation {
	if os.Geteuid() == 0 {
		return isolation{bubblewrap, program, bwrap, etc}
	}
	return isolation{withUserns, program, bwrap, etc}
}

// chooseIsolation tries what works on this machine, with program as the daemon. The answer "none" comes with the reason.
func chooseIsolation(program, dir, claude string) (isolation, string) {
	none := isolation{name: withoutIsolate, program: program}
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		return none, "bubblewrap (bwrap) is not installed"
	}
	etc := filepath.Join(dir, "etc")
	if err := writeEtc(etc); err != nil {
		return none, err.Error()
	}
	i := candidate(program, bwrap, etc)
	if err := i.probe(dir, claude); err != nil {
		return none, fmt.Sprintf("%s does not work here: %s", i.name, err)
	}
	return i, ""
}

// writeEtc writes the users that a sandbox knows: root and daytona, and nobody of this machine.
func writeEtc(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the sandboxes' /etc: %w", err)
	}
	for name, content := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\n" +
			"daytona:x:1000:1000:daytona:/home/daytona:/bin/bash\n" +
			"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"group": "root:x:0:\ndaytona:x:1000:\nnogroup:x:65534:\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("make the sandboxes' /etc: %w", err)
		}
	}
	return nil
}

// probe starts the daemon in its probing mode in a sandbox like any other.
func (i isolation) probe(dir, claude string) error {
	box, err := os.MkdirTemp(dir, "probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(box)
	if err := i.furnish(box, nil); err != nil {
		return err
	}
	config, err := configFile(i.config(box, &record{ID: "probe"}))
	if err != nil {
		return err
	}
	defer config.Close()
	c, arguments, err := i.inBubblewrap(box, "probe", claude, modeProbe)
	if err != nil {
		return err
	}
	defer arguments.Close()
	filter, err := filterFile()
	if err != nil {
		return err
	}
	defer filter.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	c.ExtraFiles = []*os.File{null, config, filter, arguments} // no socket
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
