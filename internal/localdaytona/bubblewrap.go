package localdaytona

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sandpiper/internal/localdaytona/daemon"
)

// etcFiles are the files and folders of /etc that programs in a sandbox need: certificates, names, the linker, the
// time. Nothing else of /etc is visible.
var etcFiles = []string{
	"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted", "/etc/ca-certificates",
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
	"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
	"/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/magic", "/etc/terminfo", "/etc/bash.bashrc", "/etc/shells",
}

// inBubblewrap is the command that starts the program as the daemon of a sandbox, and bubblewrap's options as a file
// for argumentsFD: some hundred of them, which nobody wants to read in a list of processes.
func (i isolation) inBubblewrap(box, id, claude, mode string, more ...string) (*exec.Cmd, *os.File, error) {
	options := append(more, i.options(box, id, claude, mode)...)
	arguments, err := memoryFile([]byte(strings.Join(options, "\x00") + "\x00"))
	if err != nil {
		return nil, nil, err
	}
	c := exec.Command(i.bwrap, "--args", fmt.Sprint(argumentsFD), "--", daemonInside, "sandbox", id)
	c.Env = []string{} // bubblewrap needs none; nil would mean ours
	return c, arguments, nil
}

// options are bubblewrap's for one sandbox. No secret is among them.
func (i isolation) options(box, id, claude, mode string) []string {
	a := []string{"--as-pid-1", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", hostname(id), "--clearenv", "--seccomp", fmt.Sprint(filterFD)}
	a = append(a, i.privileges()...)
	a = append(a, "--ro-bind", "/usr", "/usr")
	a = append(a, topLevel()...)
	a = append(a, etc(i.etc)...)
	a = append(a, "--proc", "/proc", "--dev", "/dev")
	a = append(a, protectProc()...)
	a = append(a,
		"--perms", "0755", "--dir", "/home", "--bind", filepath.Join(box, "home"), homeInside,
		"--bind", filepath.Join(box, "tmp"), "/tmp",
		"--perms", "0755", "--dir", "/run", "--perms", "0755", "--tmpfs", pipesInside,
		"--perms", "0755", "--dir", "/var", "--symlink", "/tmp", "/var/tmp", "--symlink", "/run", "/var/run",
		"--perms", "0755", "--dir", "/var/lib", "--perms", "0755", "--dir", "/var/lib/daytona",
		"--bind", filepath.Join(box, "sessions"), sessionsInside,
		"--perms", "0755", "--dir", "/opt", "--perms", "0755", "--dir", filepath.Dir(daemonInside), "--ro-bind", i.program, daemonInside,
	)
	a = append(a, "--tmpfs", filepath.Dir(claudeInside))
	if claude != "" {
		a = append(a, "--ro-bind", claude, claudeInside)
	}
	a = append(a, "--remount-ro", filepath.Dir(claudeInside), "--remount-ro", "/")
	for _, e := range append([]string{modeVariable + "=" + mode}, daemon.Tuning...) {
		name, value, _ := strings.Cut(e, "=")
		a = append(a, "--setenv", name, value)
	}
	return append(a, "--chdir", "/")
}

// privileges: as root, the daemon keeps what it needs to start commands as another user and to end them, and to act
// on files as that user; commands get nothing. In a user namespace nobody has anything.
func (i isolation) privileges() []string {
	if i.name == bubblewrap {
		return []string{"--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL"}
	}
	return []string{
		"--unshare-user", "--uid", fmt.Sprint(daytonaUser.UID), "--gid", fmt.Sprint(daytonaUser.GID), "--cap-drop", "ALL",
	}
}

// protectProc covers what would change the whole machine. Files there are root's to write without any capability, and
// root started by root, also under another number in a user namespace, is still root to them.
func protectProc() []string {
	a := []string{"--ro-bind", "/proc/sys", "/proc/sys"}
	if _, err := os.Stat("/proc/sysrq-trigger"); err == nil {
		a = append(a, "--ro-bind", os.DevNull, "/proc/sysrq-trigger")
	}
	return a
}

// topLevel makes /bin, /sbin and the libraries as they are on this machine: links into /usr, or folders.
func topLevel() []string {
	var a []string
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		info, err := os.Lstat(dir)
		if err != nil {
			continue
		}
		if target, err := os.Readlink(dir); err == nil {
			a = append(a, "--symlink", target, dir)
		} else if info.IsDir() {
			a = append(a, "--ro-bind", dir, dir)
		}
	}
	return a
}

// etc binds what is there. A link (such as resolv.conf into /run) is followed here, because it leads nowhere inside.
func etc(own string) []string {
	a := []string{"--perms", "0755", "--dir", "/etc"}
	for _, name := range etcFiles {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			a = append(a, parents(name)...)
			a = append(a, "--ro-bind", real, name)
		}
	}
	for _, name := range []string{"passwd", "group"} {
		a = append(a, "--ro-bind", filepath.Join(own, name), filepath.Join("/etc", name))
	}
	return a
}

// parents makes the folders between /etc and name readable: bubblewrap's own would be for root only.
func parents(name string) []string {
	var a []string
	for dir := filepath.Dir(name); dir != "/etc"; dir = filepath.Dir(dir) {
		a = append([]string{"--perms", "0755", "--dir", dir}, a...)
	}
	return a
}

// hostname is the sandbox's id as far as a host name may go (64 bytes, sethostname(2)).
func hostname(id string) string { return id[:min(len(id), 63)] }
