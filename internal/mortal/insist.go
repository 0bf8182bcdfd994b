package mortal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// EndsAtOnce checks that a second signal ends a program at once, whatever the first has it wait for. command makes one that
// is not started and that says on standard output where it serves HTTP.
func EndsAtOnce(t *testing.T, command func(*testing.T) *exec.Cmd) {
	t.Helper()
	const atOnce, busy = 200 * time.Millisecond, time.Second // busy is what a machine adds; requests have 5 s to end
	for name, tc := range map[string]struct {
		first, second syscall.Signal
		code          int
	}{
		"two deploys":            {syscall.SIGTERM, syscall.SIGTERM, 143},
		"Ctrl-C, and once more":  {syscall.SIGINT, syscall.SIGINT, 130},
		"a deploy, and a Ctrl-C": {syscall.SIGTERM, syscall.SIGINT, 130},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, url := served(t, command(t))
			code, took, err := Insist(cmd, url, tc.first, tc.second)
			if err != nil || code != tc.code || took > atOnce+busy {
				t.Errorf("exit code %d, %v after the second signal, %v; want %d within %v", code, took, err, tc.code, atOnce)
			}
		})
	}
}

var serves = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// served starts cmd, and ends it with the test if nothing else has.
func served(t *testing.T, cmd *exec.Cmd) (_ *exec.Cmd, url string) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	release, err := Start(cmd)
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
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url = serves.FindString(lines.Text()); url != "" {
			return cmd, url
		}
	}
	t.Fatal("it ends without saying where it serves")
	return nil, ""
}

// Insist sends a program that serves HTTP at url a signal, while a request whose body never comes keeps it from going, and
// then another one. It returns the exit code, and how long after the second signal the program had ended.
func Insist(cmd *exec.Cmd, url string, first, second syscall.Signal) (code int, took time.Duration, err error) {
	addr := strings.TrimPrefix(url, "http://")
	held, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, 0, err
	}
	defer held.Close()
	ask := "POST /healthz HTTP/1.1\r\nHost: " + addr + "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n" // no body comes
	if _, err := io.WriteString(held, ask); err != nil {
		return 0, 0, err
	}
	for range 5 { // by then the program has begun with the other one
		resp, err := http.Get(url + "/healthz")
		if err != nil {
			return 0, 0, err
		}
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	if err := cmd.Process.Signal(first); err != nil {
		return 0, 0, err
	}
	if err := refusing(addr); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := cmd.Process.Signal(second); err != nil {
		return 0, 0, fmt.Errorf("it has ended after one signal: %w", err)
	}
	_ = cmd.Wait() // the code says how it ended
	return cmd.ProcessState.ExitCode(), time.Since(began), nil
}

// refusing waits until nobody listens at addr any more: whoever did is on the way out.
func refusing(addr string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); <-tick.C {
		conn, err := net.Dial("tcp", addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		if err == nil {
			conn.Close()
		}
	}
	return fmt.Errorf("it listens at %s still", addr)
}
