package localdaytona_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sandpiper/internal/localdaytona"
)

// nobody is a user without any right, who has to be able to run sandboxes too.
const nobody = 65534

// publicCopy copies the test binary to where another user can run it.
func publicCopy(t *testing.T) (dir, binary string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ordinary")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "server")
	// Copied by another process: a file that this one has open for writing may be inherited, for a moment, by a
	// process that another test starts, and cannot be executed meanwhile (golang/go#22315).
	if out, err := exec.Command("cp", os.Args[0], binary).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	if err := os.Chmod(binary, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, binary
}

func TestAnOrdinaryUserHasSandboxesToo(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // then all the other tests say it
	}
	root, binary := publicCopy(t)
	dir := filepath.Join(root, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := localdaytona.StopAll(dir); err != nil {
			t.Error(err)
		}
		checkLogs(t, dir)
	})
	c := exec.Command(binary)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	api, killServer := startServerAs(t, c, dir, "auto")
	b := api.create(t, nil)
	b.session(t, "s")
	if v := b.exec(t, "s", "echo hi; exit 2"); v["stdout"] != "hi\n" || v["exitCode"] != 2.0 {
		t.Errorf("a session: %v", v)
	}
	b.upload(t, "/home/daytona/workspace/up", "loaded")
	if got := b.run(t, "cat up; grep CapEff /proc/self/status"); got != "loadedCapEff:\t0000000000000000\n" {
		t.Errorf("a command: %q", got)
	}
	if b.must(t, 200, "GET", b.toolbox("/user-home-dir"), nil).json(t)["dir"] == "/home/daytona" { // isolated here
		for _, signal := range strings.Fields("TERM INT HUP QUIT KILL STOP SEGV ABRT USR1") {
			b.run(t, "kill -"+signal+" 1 2>/dev/null; true")
		}
		if got := b.run(t, "unshare -Ur true 2>/dev/null && echo namespace; ls /proc/1/fd 2>/dev/null; ls /root /run/[!d]* "+root+" 2>/dev/null; id -un"); got != "daytona\n" {
			t.Errorf("isolation: %q", got)
		}
	}
	b.must(t, 200, "POST", b.api("/stop"), nil)
	b.waitFor(t, "stopped")
	b.must(t, 200, "POST", b.api("/start"), nil)
	b.run(t, "mkdir -p x/y && chmod 000 x")
	b.must(t, 200, "DELETE", b.api(""), nil)
	eventually(t, func() bool { return b.call(t, "GET", b.api(""), nil).status == 404 }, func() string { return "it does not go away" })
	killServer()
}
