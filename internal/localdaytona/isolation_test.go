package localdaytona_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sandpiper/internal/localdaytona"
)

// isolated runs a test in every isolating form of this machine.
func isolated(t *testing.T, test func(t *testing.T, h *house)) {
	eachForm(t, func(t *testing.T, h *house) {
		if h.server.Isolation() != "none" {
			test(t, h)
		}
	})
}

func TestRootWithBubblewrapIsIsolated(t *testing.T) {
	h := open(t, nil)
	got := h.server.Isolation()
	if _, err := exec.LookPath("bwrap"); err == nil && os.Geteuid() == 0 && !strings.HasPrefix(got, "bubblewrap") {
		t.Errorf("bubblewrap is installed and this is root, but the isolation is %q", got)
	}
}

func TestIsolationThatDoesNotWorkIsAnError(t *testing.T) {
	o := options(t.TempDir())
	o.Isolation = "magic"
	if _, err := localdaytona.New(o); err == nil {
		t.Error("an unknown isolation was accepted")
	}
}

func TestNothingOfTheMachineIsVisible(t *testing.T) {
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	isolated(t, func(t *testing.T, h *house) {
		b, other := h.create(t, nil), h.create(t, nil)
		other.run(t, "echo theirs >~/theirs; echo theirs >/tmp/theirs")
		socket := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for _, path := range []string{
			home, here, h.dir, h.dir + "/sandboxes/" + other.id, socket, "/home/daytona/theirs", "/tmp/theirs",
			"/run/[!d]*", "/var/run/[!d]*", "/var/lib/[!d]*", "/var/log", "/sys", "/etc/shadow", "/etc/machine-id", "/etc/hostname", "/root", "/boot", "/mnt", "/srv",
			"/opt/[!s]*", "/dev/[!cfnrpsuztm]*", "/dev/sda", "/dev/vda", "/dev/mem", "/home/[!d]*",
		} {
			if got := b.run(t, "ls -d "+path+" 2>/dev/null || true"); got != "" {
				t.Errorf("visible in the sandbox: %s", got)
			}
		}
		if got := b.run(t, "find / -xdev -type s 2>/dev/null; find /tmp /run /home /dev -type s 2>/dev/null; true"); got != "" {
			t.Errorf("sockets in the sandbox: %s", got)
		}
		for _, path := range []string{"/", "/usr", "/usr/bin", "/usr/local/bin", "/etc", "/bin", "/lib", "/opt", "/run", "/var", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches"} {
			if got := b.run(t, "test -w "+path+" && echo writable; true"); got != "" {
				t.Errorf("%s is writable in the sandbox", path)
			}
		}
		if got := b.run(t, "touch /tmp/x ~/x && rm /tmp/x ~/x && echo hi >/dev/null && head -c 1 /dev/urandom | wc -c"); strings.TrimSpace(got) != "1" {
			t.Errorf("what a sandbox needs does not work: %s", got)
		}
		if got := b.run(t, "ls /etc/ssl/certs | head -1; getent passwd daytona; getent hosts localhost; test -r /etc/resolv.conf && echo resolver"); !strings.Contains(got, "daytona:x:1000") || !strings.Contains(got, "resolver") {
			t.Errorf("names and certificates: %s", got)
		}
	})
}

func TestSandboxSeesItsOwnProcessesOnly(t *testing.T) {
	isolated(t, func(t *testing.T, h *house) {
		b, other := h.create(t, nil), h.create(t, nil)
		other.session(t, "s")
		other.execAsync(t, "s", "sleep 1000")
		got := b.run(t, `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline; echo; done`)
		// The daemon, the shell that asks and its tr, or just its remains.
		if all := lines(got); len(all) > 4 || !strings.HasPrefix(all[0], "/opt/sandpiper/daemon sandbox "+b.id) || strings.Contains(got, "sleep") {
			t.Errorf("processes: %s", got)
		}
	})
}

func TestCommandsHaveNoPower(t *testing.T) {
	isolated(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		b.session(t, "s")
		const look = "id -u; grep -hE '^(CapEff|CapPrm|CapInh|CapAmb|NoNewPrivs)' /proc/self/status"
		want := "1000\n" + strings.Join([]string{
			"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1\n",
		}, "\n")
		if got := b.run(t, look); got != want {
			t.Errorf("a one-shot command has %q, want %q", got, want)
		}
		if got := b.exec(t, "s", look)["stdout"]; got != want {
			t.Errorf("a session's command has %q, want %q", got, want)
		}
		if got := b.run(t, "unshare -Ur grep CapEff /proc/self/status 2>/dev/null; true"); got != "" {
			t.Errorf("a namespace of its own gives a command %s", got)
		}
		for _, signal := range []string{"TERM", "INT", "HUP", "QUIT", "KILL", "STOP", "SEGV", "ABRT", "USR1", "PIPE", "ALRM", "TRAP"} {
			b.run(t, "kill -"+signal+" 1 2>/dev/null; true")
		}
		b.run(t, "kill -TERM -1 2>/dev/null; true") // itself too, but the shell ignores nothing: see below
		b.run(t, "true")
		if got := b.run(t, "cat /proc/1/environ /proc/1/maps /proc/1/mem 2>/dev/null; ls /proc/1/fd /proc/1/root 2>/dev/null; true"); got != "" {
			t.Errorf("of the daemon is readable: %.200q", got)
		}
		b.waitFor(t, "started")
	})
}

func TestASandboxCannotReachIntoAnother(t *testing.T) {
	isolated(t, func(t *testing.T, h *house) {
		mine := map[string]string{"ANTHROPIC_API_KEY": "sk-ant-key-of-this-sandbox"}
		b, other := h.create(t, object{"env": mine}), h.create(t, nil)
		other.session(t, "s")
		other.execAsync(t, "s", "exec sleep 1000")
		// With every value that its environment holds for a key, and with none. The network is the machine's: it gets through.
		const ask = `for key in $(env | cut -d = -f 2- | sort -u) none; do
			curl -s -m 20 -w '\n%%{http_code} %%{url_effective}\n' -H "Authorization: Bearer $key" %s; done | grep ^[0-9] | sort -u`
		var urls, want []string
		for _, path := range []string{other.toolbox("/version"), other.api(""), "/api/sandbox", b.toolbox("/version")} {
			urls, want = append(urls, "'"+h.url+path+"'"), append(want, "401 "+h.url+path)
		}
		slices.Sort(want)
		if got := lines(b.run(t, fmt.Sprintf(ask, strings.Join(urls, " ")))); !slices.Equal(got, want) {
			t.Errorf("from a sandbox: %q, want 401 for every key everywhere", got)
		}
		if got := b.run(t, "env; cat /proc/*/environ 2>/dev/null; true"); strings.Contains(got, testKey) {
			t.Error("a sandbox knows the platform's key")
		}
		b.run(t, "kill -KILL -1; true")
		if got := other.run(t, "cat /proc/[0-9]*/comm | grep -cx sleep; true"); got != "1\n" {
			t.Errorf("after a signal to everybody, another sandbox has %q of its commands", got)
		}
	})
}

func TestClaudeIsThere(t *testing.T) {
	t.Parallel()
	script := claudeScript(t, "")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(script, link); err != nil {
		t.Fatal(err)
	}
	for _, form := range forms() {
		t.Run(form, func(t *testing.T) {
			h := open(t, func(o *localdaytona.Options) { o.Isolation, o.Claude = form, link })
			b := h.create(t, nil)
			if got := b.run(t, "claude --version"); got != "claude of the tests: --version\n" {
				t.Errorf("claude --version = %q", got)
			}
			if got := b.run(t, "command -v claude"); form != "none" && got != "/usr/local/bin/claude\n" {
				t.Errorf("claude is %s", got)
			}
		})
	}
}

func TestTheRealClaudeStarts(t *testing.T) {
	t.Parallel()
	claude := os.Getenv("SANDPIPER_CLAUDE")
	if claude == "" {
		t.Fatal("set SANDPIPER_CLAUDE, or run make test, which installs it")
	}
	for _, form := range forms() {
		t.Run(form, func(t *testing.T) {
			h := open(t, func(o *localdaytona.Options) { o.Isolation, o.Claude = form, claude })
			b := h.create(t, nil)
			if got := b.run(t, "claude --version"); !strings.Contains(got, "Claude Code") {
				t.Errorf("claude --version = %q", got)
			}
		})
	}
}

func TestAbstractSocketsOfTheMachineAreOutOfReach(t *testing.T) {
	if !scopes() {
		return // before Linux 6.12 they are part of the shared network; said so in package daemon
	}
	l, err := net.Listen("unix", "@sandpiper-test-"+strings.ReplaceAll(t.TempDir(), "/", "-"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	isolated(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		name := strings.TrimPrefix(l.Addr().String(), "@")
		got := b.run(t, `python3 -c 'import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect("\0'`+name+`'")' 2>&1 | tail -1`)
		if !strings.Contains(got, "Operation not permitted") && !strings.Contains(got, "not found") {
			t.Errorf("connect to a socket of the machine: %q, want a refusal", got)
		}
	})
}

// scopes reports whether this kernel can close abstract sockets to a sandbox (landlock ABI 6).
func scopes() bool {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return errno == 0 && abi >= 6
}
