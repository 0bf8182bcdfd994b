package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onTerminal runs cmd with a terminal for stdout and stderr, and gives what that shows.
func onTerminal(t *testing.T, cmd *exec.Cmd) (code int, shown string) {
	t.Helper()
	main, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer main.Close()
	if err := unix.IoctlSetPointerInt(int(main.Fd()), unix.TIOCSPTLCK, 0); err != nil { // unlock it (pts(4))
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(main.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = other, other
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	other.Close()
	var out bytes.Buffer
	_, _ = io.Copy(&out, main) // ends with EIO when nobody holds the other side any more
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), out.String()
}

// aTerminalShows is a part of TestFromATerminalWithoutSandboxes: the answer begins with the prompt.
func aTerminalShows(t *testing.T, r running) {
	const moves, dims, theirs = "\r\x1b[K", "\x1b[2m", "\x1b[31mred"
	for name, tc := range map[string]struct {
		vars        []string
		want, avoid []string
	}{
		"colour and movement":           {[]string{"TERM=xterm"}, []string{moves, dims, "running", "four \uFFFD[31mred"}, []string{theirs}},
		"movement alone, with NO_COLOR": {[]string{"TERM=xterm", "NO_COLOR=1"}, []string{moves, "four \uFFFD[31mred"}, []string{dims, theirs}},
		"neither, where it is dumb":     {[]string{"TERM=dumb"}, []string{"four \uFFFD[31mred"}, []string{moves, dims, theirs}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := r.command(t, "run", "four "+theirs)
			cmd.Env = append(cmd.Env, tc.vars...)
			code, shown := onTerminal(t, cmd)
			for _, want := range tc.want {
				if code != 0 || !strings.Contains(shown, want) {
					t.Errorf("exit code %d, %q is not in %q", code, want, shown)
				}
			}
			for _, avoid := range tc.avoid {
				if strings.Contains(shown, avoid) {
					t.Errorf("%q is in %q", avoid, shown)
				}
			}
		})
	}
}

// textIsStreamed is a part of TestFromATerminal.
func textIsStreamed(t *testing.T, r running) {
	const text = "four \uFFFD[31mred" // the guide's line "claude response" shows it too
	t.Run("into a pipe, apart from the answer", func(t *testing.T) {
		code, out, said := outcome(t, r.command(t, "run", "--stream", "hello"))
		if code != 0 || out != "four \x1b[31mred\n" || strings.Count(said, text) != 2 || !strings.Contains(said, "\n"+text+"\n") {
			t.Errorf("exit code %d, stdout %q, stderr %q", code, out, said)
		}
	})
	for name, tc := range map[string]struct {
		args  []string
		text  int    // how often the terminal shows it
		after string // what stands behind the end of the job
	}{
		"on a terminal, and is the answer there": {[]string{"hello"}, 2, ""},
		"on a terminal, with words in between":   {[]string{useTool}, 3, "four"},
		"on a terminal, before JSON":             {[]string{"--json", "hello"}, 2, `"state":"succeeded"`},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := r.command(t, append([]string{"run", "--stream"}, tc.args...)...)
			cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=1")
			code, shown := onTerminal(t, cmd)
			_, after, _ := strings.Cut(shown, "succeeded in ")
			_, after, _ = strings.Cut(after, "\n")
			if code != 0 || strings.Count(shown, text) != tc.text || !strings.Contains(after, tc.after) || tc.after == "" && strings.TrimSpace(after) != "" {
				t.Errorf("exit code %d, want %q %d times, and %q last: %q", code, text, tc.text, tc.after, shown)
			}
		})
	}
}

func TestASecondInterruptLeavesAtOnce(t *testing.T) {
	asked, over := make(chan string, 100), make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- r.URL.Path
		if r.URL.Path == "/api/knowledge/process" {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"jobId":"job_1","accepted":true}`)
			return
		}
		<-over
	}))
	defer api.Close()
	defer close(over)
	cmd := command(t, t.TempDir(), nil, "run", "--api", api.URL, "hello")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	for _, path := range []string{"/ws", "/api/jobs/job_1/cancel"} {
		for got := ""; got != path; {
			select {
			case got = <-asked:
			case <-time.After(time.Minute):
				t.Fatalf("%s was not asked", path)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait() // its state says it
	if code := cmd.ProcessState.ExitCode(); code != interrupted {
		t.Errorf("it ended with %d (%v), want %d", code, cmd.ProcessState, interrupted)
	}
}
