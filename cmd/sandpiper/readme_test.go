package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// batchExample is the README's way through a batch with curl and jq.
var batchExample = regexp.MustCompile("(?s)```sh\n(jq -nc 'range\\(1000\\).*?)```")

// TestTheReadmesBatch types what the README has people type. With the race detector the thousand
// jobs would take a minute.
func TestTheReadmesBatch(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := batchExample.FindSubmatch(readme)
	if found == nil {
		t.Fatal("the README has no example of a batch")
	}
	dir := t.TempDir()
	r := startProgram(t, must(program())(t), "SANDPIPER_EXECUTOR=noop", "SANDPIPER_CONCURRENCY=16")
	script := strings.ReplaceAll(string(found[1]), "http://localhost:8787", r.url)
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dir
	kill := time.AfterFunc(5*time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "answers.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if len(lines) != 1000 {
		t.Fatalf("%d answers, want 1,000", len(lines))
	}
	for i, line := range lines {
		var a struct {
			CustomID string `json:"custom_id"`
			Text     string
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil || a.CustomID != fmt.Sprintf("q%d", i) || !strings.HasPrefix(a.Text, fmt.Sprintf("What is %d + 1?", i)) {
			t.Fatalf("answer %d is %q: %v", i, line, err)
		}
	}
}
