package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandpiper/internal/mortal"
)

// atOnce is how soon a second signal ends the program, with what a busy machine adds; requests have 5 s to end.
const atOnce, busy = 200 * time.Millisecond, time.Second

func TestASecondSignalEndsItAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		first, second syscall.Signal
		code          int
	}{
		"two deploys":            {syscall.SIGTERM, syscall.SIGTERM, 143},
		"Ctrl-C, and once more":  {syscall.SIGINT, syscall.SIGINT, 130},
		"a deploy, and a Ctrl-C": {syscall.SIGTERM, syscall.SIGINT, 130},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, url := started(t)
			code, took, err := mortal.Insist(cmd, url, tc.first, tc.second)
			if err != nil || code != tc.code || took > atOnce+busy {
				t.Errorf("exit code %d, %v after the second signal, %v; want %d within %v", code, took, err, tc.code, atOnce)
			}
		})
	}
}

// started is the program, at a database that is away and has to be waited for, and where it listens.
func started(t *testing.T) (cmd *exec.Cmd, url string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = []string{
		mainVar + "=1", "SANDPIPER_ADDR=127.0.0.1:0", "SANDPIPER_DATA=" + t.TempDir(), "DATABASE_URL=postgres://nobody@127.0.0.1:1/none",
		"REDIS_URL=redis://127.0.0.1:1",
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	release, err := mortal.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		release()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("it did not start: %v", err)
	}
	return cmd, strings.TrimSpace(strings.TrimPrefix(line, "sandpiper api:"))
}
