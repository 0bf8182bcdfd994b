package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"sandpiper/client"
	"sandpiper/internal/claude"
	"sandpiper/internal/localdaytona/daemon"
	"sandpiper/internal/offline/scripted"
)

// quickClaude answers at once, without the real command's half a second.
const quickClaude = `#!/bin/bash
[ "$1" = --version ] && { echo "2.1.330 (stand-in)"; exit 0; }
cat >/dev/null
echo '{"type":"system","subtype":"init","session_id":"s","model":"m"}'
echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"4","session_id":"s","total_cost_usd":0}'
`

// BenchmarkSubmitToStarted measures, on an idle house, the time from a submission until the worker's "job started" is
// received on a WebSocket, and until its submission was answered; medians and 99th percentiles of ten jobs a round, beside the
// time that a loopback connection takes to bring a byte there and back.
func BenchmarkSubmitToStarted(b *testing.B) {
	h := open(b, "SANDPIPER_CLAUDE="+script(b, quickClaude))
	socket, _, err := websocket.Dial(b.Context(), strings.Replace(h.URL(), "http", "ws", 1)+"/ws?userId=user123", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer socket.CloseNow()
	until := func(want func(client.Event) bool) {
		for {
			var e client.Event
			if err := wsjson.Read(b.Context(), socket, &e); err != nil {
				b.Fatal(err)
			}
			if want(e) {
				return
			}
		}
	}
	ended := func(e client.Event) bool { return e.Type == client.EventDone }
	h.submit(b, client.Submit{Input: "the sandbox is made"})
	until(ended)
	echo := echoServer(b)
	var answered, started, bare []float64
	for b.Loop() {
		for range 10 {
			began := time.Now()
			echo()
			bare = append(bare, since(began))
			began = time.Now()
			h.submit(b, client.Submit{Input: "What is 2+2?"})
			answered = append(answered, since(began))
			until(func(e client.Event) bool { return e.Type == client.EventLog && e.Data == claude.JobStarted })
			started = append(started, since(began))
			until(ended)
		}
	}
	b.ReportMetric(median(bare), "loopback-ms")
	b.ReportMetric(median(answered), "answered-p50-ms")
	b.ReportMetric(answered[len(answered)*99/100], "answered-p99-ms")
	b.ReportMetric(median(started), "started-p50-ms")
	b.ReportMetric(started[len(started)*99/100], "started-p99-ms")
	b.ReportMetric(0, "ns/op")
}

func since(began time.Time) float64 { return float64(time.Since(began).Microseconds()) / 1000 }

// echoServer gives a function that sends a byte over loopback and waits for it to come back.
func echoServer(b *testing.B) func() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		conn, err := ln.Accept()
		for one := make([]byte, 1); err == nil; {
			if _, err = conn.Read(one); err == nil {
				_, err = conn.Write(one)
			}
		}
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return func() {
		one := []byte{1}
		if _, err := conn.Write(one); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(one); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHouse measures what a house costs: the processor while nothing happens, over ten seconds a round, as a
// share of one core; its memory; and what an idle sandbox and a running job add outside of it.
func BenchmarkHouse(b *testing.B) {
	data := b.TempDir()
	p := startProcess(b, scripted.New(b), data, "SANDPIPER_CLAUDE="+script(b, strings.Replace(quickClaude, "cat >/dev/null", "read -r first; [ \"$first\" != wait ] || sleep 600", 1)))
	p.ask(b, client.Submit{Input: "the sandbox is made"})
	pid := p.cmd.Process.Pid
	idle := privateMB(b, sandboxProcesses(b, data))
	var shares []float64
	for b.Loop() {
		before, began := cpuTime(b, pid), time.Now()
		<-time.After(10 * time.Second)
		shares = append(shares, 100*float64(cpuTime(b, pid)-before)/float64(time.Since(began)))
	}
	b.ReportMetric(median(shares), "idle-%-of-a-core")
	b.ReportMetric(privateMB(b, []int{pid}), "house-MB")
	b.ReportMetric(idle, "idle-sandbox-MB")
	id := p.submit(b, client.Submit{Input: "wait\n"})
	<-time.After(3 * time.Second) // it has been launched, and waits
	b.ReportMetric(privateMB(b, sandboxProcesses(b, data))-idle, "running-job-MB-besides-the-CLI")
	if _, err := p.api.Cancel(b.Context(), id); err != nil {
		b.Fatal(err)
	}
	p.ended(b, id)
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what a process has used of the processor so far (proc(5), fields 14 and 15, in hundredths of a second).
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	var user, system int
	if _, err := fmt.Sscan(string(f[11])+" "+string(f[12]), &user, &system); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// privateMB is the memory that is these processes' alone, and what they wrote.
func privateMB(b *testing.B, pids []int) (sum float64) {
	b.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has just ended
		}
		for line := range strings.Lines(string(text)) {
			var kb float64
			if strings.HasPrefix(line, "Private_") {
				if _, err := fmt.Sscan(strings.Fields(line)[1], &kb); err != nil {
					b.Fatal(err)
				}
			}
			sum += kb / 1024
		}
	}
	return sum
}

// sandboxProcesses are the daemons of the local Daytona below a data directory, and everything below them.
func sandboxProcesses(b *testing.B, data string) (pids []int) {
	b.Helper()
	records, _ := filepath.Glob(filepath.Join(data, "daytona", "sandboxes", "*", "record.json"))
	for _, path := range records {
		text, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		var r struct{ Daemon struct{ PID int } }
		if err := json.Unmarshal(text, &r); err != nil {
			b.Fatal(err)
		}
		pids = append(append(pids, r.Daemon.PID), daemon.Descendants(r.Daemon.PID)...)
	}
	return pids
}
