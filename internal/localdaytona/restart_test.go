package localdaytona_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sandpiper/internal/localdaytona"
)

const serverVariable = "SANDPIPER_TEST_SERVER"

// serverMain is a server as a process of its own, to be killed.
func serverMain(dir string) int {
	o := options(dir)
	o.Isolation = os.Getenv(serverVariable + "_ISOLATION")
	s, err := localdaytona.New(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(ln.Addr())
	if err := s.Run(context.Background(), ln); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startServer runs a server of dir as a process of its own. The returned function kills it with -9.
func startServer(t *testing.T, dir, isolation string) (client, func()) {
	t.Helper()
	return startServerAs(t, exec.Command(os.Args[0]), dir, isolation)
}

func startServerAs(t *testing.T, c *exec.Cmd, dir, isolation string) (client, func()) {
	t.Helper()
	c.Env = append(os.Environ(), serverVariable+"="+dir, serverVariable+"_ISOLATION="+isolation)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	dead := false
	end := func() {
		if !dead {
			dead = true
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
	t.Cleanup(end)
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return client{"http://" + strings.TrimSpace(address), testKey, "0.205.1"}, end
}

// daemonOf is the pid of a sandbox's daemon, from its record.
func daemonOf(t testing.TB, dir, id string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "sandboxes", id, "record.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Daemon struct {
			PID int `json:"pid"`
		} `json:"daemon"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(r.Daemon.PID)
}

func kill(t testing.TB, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 1 {
		t.Fatalf("pid %q", pid)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestEverythingSurvivesTheServersKill(t *testing.T) {
	t.Parallel()
	for _, form := range forms() {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30)) // longer than a socket's path may be
			t.Cleanup(func() {
				if _, err := localdaytona.StopAll(dir); err != nil {
					t.Error(err)
				}
				checkLogs(t, dir)
			})
			c, killServer := startServer(t, dir, form)
			b := c.create(t, object{"name": "survivor", "labels": object{"l": "1"}})
			stopped := c.create(t, object{"name": "resting"})
			stopped.must(t, 200, "POST", stopped.api("/stop"), nil)
			stopped.waitFor(t, "stopped")
			daemon := daemonOf(t, dir, b.id)
			b.session(t, "s")
			b.exec(t, "s", "export KEPT=1; cd /")
			const slow = "i=0; echo begun; until test -e %[1]s/go; do i=$((i+1)); sleep 0.01; done; seq 1 20000; echo end >>%[1]s/%[2]s; exit_code() { return 6; }; exit_code"
			work := b.must(t, 200, "GET", b.toolbox("/work-dir"), nil).json(t)["dir"]
			id := b.execAsync(t, "s", fmt.Sprintf(slow, work, "session"))
			answered := make(chan error, 1)
			go func() {
				_, err := b.try("POST", b.toolbox("/process/execute"), object{"command": "echo >begun; " + fmt.Sprintf(slow, work, "oneshot")})
				answered <- err
			}()
			eventually(t, func() bool { return b.run(t, "cat begun 2>/dev/null || true") != "" }, func() string { return "the one-shot did not start" })
			killServer()
			if err := <-answered; err == nil {
				t.Error("the one-shot was answered by a dead server")
			}

			b.client, _ = startServer(t, dir, form)
			v := b.must(t, 200, "GET", "/api/sandbox/survivor", nil).json(t)
			if v["id"] != b.id || v["state"] != "started" || v["labels"].(map[string]any)["l"] != "1" {
				t.Fatalf("after the restart: %v", v)
			}
			if got := b.must(t, 200, "GET", "/api/sandbox/resting", nil).json(t)["state"]; got != "stopped" {
				t.Errorf("the stopped one is %v", got)
			}
			if now := daemonOf(t, dir, b.id); now != daemon {
				t.Errorf("the daemon is %s, was %s", now, daemon)
			}
			b.run(t, "touch go")
			code, out := b.result(t, "s", id)
			if all := lines(out); code != 6 || len(all) != 20001 || all[0] != "begun" || all[20000] != "20000" {
				t.Errorf("the session's command: %d, %d lines, want 6 and 20001", code, len(all))
			}
			if v := b.exec(t, "s", "echo $KEPT; pwd"); v["stdout"] != "1\n/\n" {
				t.Errorf("the session lost its state: %v", v["stdout"])
			}
			eventually(t, func() bool { return b.run(t, "cat oneshot 2>/dev/null || true") == "end\n" }, func() string { return "the one-shot did not end" })
		})
	}
}

// A server can be killed between starting a daemon and writing that down. The next one must not leave that daemon
// running beside its own.
func TestACreationThatWasCutIsDoneAgain(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		lost := daemonOf(t, h.dir, b.id)
		path := filepath.Join(h.dir, "sandboxes", b.id, "record.json")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var r map[string]any
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		r["state"], r["daemon"] = "creating", map[string]any{}
		if text, err = json.Marshal(r); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, _ := startServer(t, h.dir, h.server.Isolation())
		b.client = c
		b.waitFor(t, "started")
		b.run(t, "true")
		if now := daemonOf(t, h.dir, b.id); now == lost {
			t.Error("the daemon nobody knew of was taken")
		}
		eventually(t, func() bool {
			stat, err := os.ReadFile("/proc/" + lost + "/stat")
			return err != nil || strings.Contains(string(stat), ") Z ")
		}, func() string { return "the daemon that nobody knew of lives on" })
		if _, err := localdaytona.StopAll(h.dir); err != nil {
			t.Error(err)
		}
	})
}
