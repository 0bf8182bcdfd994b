package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sandpiper/client"
)

func TestTheMovingLineStaysBelowTheOthers(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{w: &out, live: true, colour: true}
	done := s.Await("queued")
	s.Line("first")
	s.Awaiting("running")
	s.Line("second")
	done()
	done() // twice is fine
	s.Line("last")
	text := out.String()
	for _, want := range []string{"queued 0s", "\r\x1b[Kfirst\n", "running 0s", "\r\x1b[Ksecond\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	if !strings.HasSuffix(text, "\r\x1b[Klast\n") {
		t.Errorf("something moves after the end: %q", text)
	}
}

func TestWithoutATerminalThereAreOnlyLines(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out)
	done := s.Await("queued")
	s.Awaiting("running")
	s.Line("%s", s.paint(red, "100%"))
	done()
	if out.String() != "100%\n" {
		t.Errorf("written: %q", &out)
	}
}

func TestChecksAreMarked(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out)
	s.Checked("ok", "key", "108 characters", "")
	s.Checked("failed", "DNS", "no\naddress", "look at\x1b[2J the network")
	s.Checked("skipped", "HTTPS", "not tried", "nothing")
	want := "✓ key: 108 characters\n✗ DNS: no address\n    → look at\uFFFD[2J the network\n· HTTPS: not tried\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

func TestTextFromASandboxDoesNotSteerATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 漢\tand\nlines":   "plain é 漢\tand\nlines",
		"\x1b[2J\x1b]0;title\x07": "\uFFFD[2J\uFFFD]0;title\uFFFD",
		"over\rwritten\b\x7f":     "over\uFFFDwritten\uFFFD\uFFFD",
		"8-bit CSI \u009b31m":     "8-bit CSI \uFFFD31m",
		"left \u202e to right":    "left \uFFFD to right",
	} {
		if got := safe(in); got != want {
			t.Errorf("safe(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestColumnsAreAsWideAsTheirWidestCell(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{colour: true}
	err := s.table(&out, [][]cell{heads("USER", "COST"), {{"é", plain}, {"-", plain}}, {{"longer", green}, {"$0", plain}}})
	want := "\x1b[2mUSER\x1b[0m    \x1b[2mCOST\x1b[0m\né       -\n\x1b[32mlonger\x1b[0m  $0\n"
	if err != nil || out.String() != want {
		t.Errorf("got  %q (%v)\nwant %q", out.String(), err, want)
	}
}

func TestWordsForNumbers(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59900 * time.Millisecond: "59s", time.Minute: "1m", 119 * time.Minute: "1h", 47 * time.Hour: "47h", 50 * time.Hour: "2d",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
	zero, some := 0.0, 0.01234
	if money(nil) != "-" || money(&zero) != "$0" || money(&some) != "$0.0123" {
		t.Errorf("money: %s %s %s", money(nil), money(&zero), money(&some))
	}
}

func TestAJobWithoutTimesShowsNone(t *testing.T) {
	var out bytes.Buffer
	j := client.Job{JobID: "j", State: client.Queued, Timings: client.Timings{CreatedAt: time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)}}
	if err := writeJSON(&out, viewOf(j)); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "0001-") || !strings.Contains(text, `"timings":{"createdAt":"2026-11-23T15:00:00Z","queuedMs":0`) {
		t.Errorf("written: %s", text)
	}
}
