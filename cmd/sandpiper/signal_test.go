package main

import (
	"bufio"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"sandpiper/internal/mortal"
)

// TestASecondSignalEndsUpAtOnce: with the first it waits for requests that are under way.
func TestASecondSignalEndsUpAtOnce(t *testing.T) {
	for second, want := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130} {
		t.Run(second.String(), func(t *testing.T) {
			up := command(t, filepath.Join(t.TempDir(), "data"), []string{
				"ANTHROPIC_API_KEY=sk-none", "ANTHROPIC_BASE_URL=http://127.0.0.1:1", // no model of its own is left behind
			}, "up")
			out, err := up.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			release, err := mortal.Start(up)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			url, lines := "", bufio.NewScanner(out)
			for at := regexp.MustCompile(`http://127\.0\.0\.1:\d+`); url == "" && lines.Scan(); {
				url = at.FindString(lines.Text())
			}
			code, took, err := mortal.Insist(up, url, syscall.SIGINT, second)
			if err != nil || code != want || took > 200*time.Millisecond+time.Second { // what a busy machine adds; requests have 5 s
				t.Errorf("exit code %d, %v after the second signal, %v; want %d", code, took, err, want)
			}
		})
	}
}
