package fleet

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// stand is the command's stand-in, as the test sees it: each launch calls home, so that it is counted outside of the
// product, says what the test has it say, and hangs up when its process has ended.
type stand struct {
	ln   net.Listener
	came chan *prompt

	mu  sync.Mutex
	all []*prompt
}

// prompt is one process of the command.
type prompt struct {
	run, text string
	conn      net.Conn
	gone      chan struct{} // closed when the process is no more
}

func newStand(t testing.TB) *stand {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{ln: ln, came: make(chan *prompt, 10_000)}
	var calls sync.WaitGroup
	calls.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			calls.Go(func() { s.take(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		for _, p := range s.launches() {
			p.conn.Close()
		}
		calls.Wait()
	})
	return s
}

// command is the stand-in itself. It prints what it is told, line by line, and exits as it is told; told to
// forge, it writes what only an attempt of that number would.
func (s *stand) command(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stand-in")
	text := fmt.Sprintf(`#!/bin/bash
[[ $1 == --version ]] && { echo "2.1.330 (stand-in)"; exit 0; }
exec 3<>/dev/tcp/127.0.0.1/%d || exit 9
printf '%%s %%s\n' "$SANDPIPER_RUN" "$(base64 -w0)" >&3
while IFS= read -r line <&3; do
  [[ $line == 'exit '* ]] && exit "${line#exit }"
  [[ $line == 'forge '* ]] && { mkdir -p "$HOME/.sandpiper/owners"; : > "$HOME/.sandpiper/owners/$SANDPIPER_RUN.${line#forge }"; continue; }
  printf '%%s\n' "$line"
done
exit 8
`, s.ln.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// take keeps a call until its process has ended.
func (s *stand) take(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	run, code, _ := strings.Cut(strings.TrimSpace(line), " ")
	text, _ := base64.StdEncoding.DecodeString(code)
	if err != nil {
		return
	}
	p := &prompt{run: run, text: string(text), conn: conn, gone: make(chan struct{})}
	s.mu.Lock()
	s.all = append(s.all, p)
	s.mu.Unlock()
	s.came <- p
	_, _ = in.ReadByte() // it says no more
	close(p.gone)
}

func (s *stand) launches() []*prompt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*prompt(nil), s.all...)
}

// next is the next launch.
func (s *stand) next(t testing.TB) *prompt {
	t.Helper()
	select {
	case p := <-s.came:
		return p
	case <-time.After(time.Minute):
		t.Fatal("the command was not launched")
		panic("unreachable")
	}
}

// What the command says.
const (
	requesting = `{"type":"system","subtype":"status","status":"requesting"}`
	begun      = `{"type":"stream_event","event":{"type":"message_start","message":{"id":"1","model":"m","usage":{"input_tokens":12,"output_tokens":3}}}}`
	refused    = `{"type":"system","subtype":"permission_denied","tool_name":"Bash"}`
	answer     = `{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn","result":"4","usage":{"input_tokens":12,"output_tokens":9}}`
)

// retry is a line of the command that is worth an event, with a number to tell it by.
func retry(n int) string {
	return fmt.Sprintf(`{"type":"system","subtype":"api_retry","attempt":%d,"max_retries":9999,"retry_delay_ms":1000,"error_status":529,"error":"overloaded"}`, n)
}

func (p *prompt) say(t testing.TB, lines ...string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.conn, strings.Join(lines, "\n")); err != nil {
		t.Errorf("tell run %s: %v", p.run, err)
	}
}

// answers ends the command with an answer.
func (p *prompt) answers(t testing.TB) {
	t.Helper()
	p.say(t, answer, "exit 0")
}

// lives reports whether the process is there.
func (p *prompt) lives() bool {
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}
