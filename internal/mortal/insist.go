package mortal

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

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
