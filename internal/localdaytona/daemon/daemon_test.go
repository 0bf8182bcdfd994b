package daemon

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestFormOf(t *testing.T) {
	for version, want := range map[string]form{
		"0.167.0": split, "v0.205.1": split, "0.168.0-alpha.1": split, "1.0.0": split, "0.0.0-dev": split, "0.190.0+build": split,
		"0.167.0-rc1": marked, "0.166.9": marked, "0.27.0": marked, "nonsense": marked, "0.167": marked,
		"0.26.9": plain, "0.27.0-rc1": plain, "": plain,
	} {
		r := &http.Request{Header: http.Header{}}
		if version != "" {
			r.Header.Set("X-Daytona-SDK-Version", version)
		}
		if got := formOf(r); got != want {
			t.Errorf("version %q: form %d, want %d", version, got, want)
		}
	}
	asked := &http.Request{Header: http.Header{"X-Daytona-Split-Output": {"true"}}}
	if got := formOf(asked); got != marked {
		t.Errorf("split output without a version: form %d, want %d", got, marked)
	}
	browser := &http.Request{Header: http.Header{"Sec-Websocket-Protocol": {"x, X-Daytona-SDK-Version~0.190.0"}}}
	if got := formOf(browser); got != split {
		t.Errorf("a browser's version: form %d, want %d", got, split)
	}
}

func TestDemux(t *testing.T) {
	for fact, tc := range map[string]struct{ in, stdout, stderr, plain string }{
		"lines of both streams":              {"\x01\x01\x01a\n\x02\x02\x02b\n\x01\x01\x01c\n", "a\nc\n", "b\n", "a\nb\nc\n"},
		"bytes before a marker are nobody's": {"x\x01\x01\x01a\n", "a\n", "", "xa\n"},
		"two marker bytes are text":          {"\x01\x01\x01a\x02\x02b\n", "a\x02\x02b\n", "", "a\x02\x02b\n"},
		"output that holds the triples":      {"\x01\x01\x01x\x01\x01\x01y\x02\x02\x02z\n", "xy", "z\n", "xyz\n"},
		"nothing":                            {"", "", "", ""},
		"a marker at the end":                {"\x01\x01\x01a\n\x02\x02\x02", "a\n", "", "a\n"},
	} {
		stdout, stderr := demux([]byte(tc.in))
		if string(stdout) != tc.stdout || string(stderr) != tc.stderr || string(unmark([]byte(tc.in))) != tc.plain {
			t.Errorf("%s: %q %q %q, want %q %q %q", fact, stdout, stderr, unmark([]byte(tc.in)), tc.stdout, tc.stderr, tc.plain)
		}
	}
}

// Whatever is written, and however the reads fall, both streams come back with only the documented changes.
func TestDrainAndDemuxGiveBackWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		l := newLog(filepath.Join(dir, strconv.Itoa(n)))
		written := rapid.SliceOf(rapid.Byte()).Draw(r, "written")
		written = slices.DeleteFunc(written, func(b byte) bool { return b == 1 || b == 2 }) // else it may hold markers
		reader := io.Reader(bytes.NewReader(written))
		if rapid.Bool().Draw(r, "one byte a read") {
			reader = iotest.OneByteReader(reader)
		}
		if err := l.drain(reader, stderrMark); err != nil {
			r.Fatal(err)
		}
		l.end()
		want := withoutNUL(slices.Clone(written))
		if len(want) > 0 && want[len(want)-1] != '\n' {
			want = append(want, '\n')
		}
		marked, err := l.read()
		if err != nil {
			r.Fatal(err)
		}
		stdout, stderr := demux(marked)
		if len(stdout) != 0 || !bytes.Equal(stderr, want) {
			r.Fatalf("written %q, read %q and %q", written, stdout, stderr)
		}
		os.Remove(l.path)
	})
}

func TestALineLongerThanTheBufferIsWhole(t *testing.T) {
	l := newLog(filepath.Join(t.TempDir(), "log"))
	long := strings.Repeat("0123456789", 100_000)
	if err := l.drain(strings.NewReader(long), stdoutMark); err != nil {
		t.Fatal(err)
	}
	marked, err := l.read()
	if err != nil {
		t.Fatal(err)
	}
	if stdout, _ := demux(marked); string(stdout) != long+"\n" {
		t.Errorf("a line of %d bytes came back as %d", len(long), len(stdout))
	}
}

func TestWholeMarkers(t *testing.T) {
	for in, want := range map[string]string{"ab": "ab", "ab\x01": "ab", "ab\x01\x01\x02": "ab", "\x01\x01": "\x01\x01", "a\x01b": "a\x01b"} {
		if got := wholeMarkers([]byte(in), false); string(got) != want {
			t.Errorf("wholeMarkers(%q) = %q, want %q", in, got, want)
		}
		if got := wholeMarkers([]byte(in), true); string(got) != in {
			t.Errorf("the last chunk %q became %q", in, got)
		}
	}
}

func TestPlace(t *testing.T) {
	inside := Config{Home: "/home/daytona", WorkDir: "/home/daytona/workspace"}
	bare := Config{Home: "/data/box/home", WorkDir: "/data/box/home/workspace", Alias: "/home/daytona"}
	for _, tc := range []struct {
		c        Config
		in, want string
	}{
		{inside, "a/b", "/home/daytona/workspace/a/b"},
		{inside, "../x", "/home/daytona/x"},
		{inside, "/tmp/../etc/x", "/etc/x"},
		{inside, "/home/daytona/x", "/home/daytona/x"},
		{bare, "a", "/data/box/home/workspace/a"},
		{bare, "/home/daytona", "/data/box/home"},
		{bare, "/home/daytona/workspace/a", "/data/box/home/workspace/a"},
		{bare, "/home/daytona2/a", "/home/daytona2/a"},
		{bare, "/home/daytona/../../etc", "/etc"},
		{bare, "/data/box/home/a", "/data/box/home/a"},
	} {
		if got := tc.c.place(tc.in); got != tc.want {
			t.Errorf("place(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}

// The reaper waits for every child of this test process, so nothing else here may start one by os/exec.
func TestReaperTellsEveryoneTheirOwnCode(t *testing.T) {
	r := newReaper(nil)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		r.Run(ctx)
	}()
	defer func() {
		cancel()
		<-over
	}()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	files := [3]*os.File{null, null, null}
	var all []*process
	for code := range 40 {
		p, err := r.start([]string{"/bin/sh", "-c", "exit " + string(rune('0'+code%10))}, "/", nil, files)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	for i, p := range all {
		if <-p.done; p.exitCode() != i%10 {
			t.Errorf("child %d ended with %d, want %d", i, p.exitCode(), i%10)
		}
	}
	if _, err := r.start([]string{"/bin/sh"}, "/no/such", nil, files); err != syscall.ENOENT {
		t.Errorf("start in no folder: %v, want ENOENT", err)
	}
	p, err := r.start([]string{"/bin/sh", "-c", "sleep 1000"}, "/", nil, files)
	if err != nil {
		t.Fatal(err)
	}
	p.signalGroup(syscall.SIGKILL)
	if <-p.done; p.exitCode() != 137 {
		t.Errorf("a killed child ended with %d, want 137", p.exitCode())
	}
}
