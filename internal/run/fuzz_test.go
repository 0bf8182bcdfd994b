package run_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sandpiper/internal/run"
)

// hostile are texts that some shell, or some way to quote for one, stumbles over.
var hostile = []string{
	"", " ", "'", `"`, `\`, `'\''`, "$HOME", "$(id)", "`id`", "a\nb", "\n", "-n", "--help", "*", "~", "!x", "\x01\x01\x01", "\xff\xfe", "é☂👍",
	"a;b|c&d>e<f(g)h{i}j[k]#l", "=x", "%s", "\r\n", "\t", "\x7f\x1b[2J", strings.Repeat("x", 100_000),
}

// fuzzing reports whether new texts are looked for. A test without that leaves out beginnings of which it knows better.
func fuzzing() bool { return flag.Lookup("test.fuzz").Value.String() != "" }

// TestHostileArgumentsArrive: one run gets all of them, as its arguments and as its variables.
func TestHostileArgumentsArrive(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.launch("", func(l *run.Launch) {
		script := `printf '%s\0' "$@"`
		for i, text := range hostile {
			name := fmt.Sprint("VALUE", i)
			l.Env[name] = text
			script += ` "$` + name + `"`
		}
		l.Args = append([]string{"bash", "-c", script, "name"}, hostile...)
	})
	out, last := b.followed(b.started(l).RunID)
	want := slices.Concat(hostile, hostile, []string{""})
	if got := strings.Split(string(out), "\x00"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q (stderr %q)", got, want, last.Stderr)
	}
}

// FuzzArguments: every argument and variable reaches the command as it was, through the real scripts.
func FuzzArguments(f *testing.F) {
	if fuzzing() {
		for _, text := range hostile {
			f.Add(text, text)
		}
	}
	f.Add("two", "words here")
	f.Add("", "\n")
	f.Fuzz(func(t *testing.T, argument, value string) {
		t.Parallel()
		argument, value = strings.ReplaceAll(argument, "\x00", ""), strings.ReplaceAll(value, "\x00", "") // refused by Start
		b := newBox(t)
		l := b.started(b.launch("", func(l *run.Launch) {
			l.Args = []string{"bash", "-c", `printf '%s\0' "$@" "$VALUE"`, "name", argument, "last"}
			l.Env = map[string]string{"VALUE": value}
		}))
		out, last := b.followed(l.RunID)
		want := []string{argument, "last", value, ""}
		if got := strings.Split(string(out), "\x00"); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q (stderr %q)", got, want, last.Stderr)
		}
	})
}

// FuzzFollow: whatever a run writes, in two pieces and to both of its outputs, a follower reads it back byte for byte
// through the real scripts, and once again from any line's end.
func FuzzFollow(f *testing.F) {
	const ours = "sandpiper-follow ended 0 4\n/out\n\n\n.\n"
	for i, text := range hostile {
		if fuzzing() {
			f.Add([]byte(text), []byte(ours), []byte(text))
		} else if i%2 == 0 { // each text in one of the two places
			f.Add([]byte(text), []byte(ours), []byte(hostile[(i+1)%len(hostile)]))
		}
	}
	f.Add([]byte("{\"type\":\"result\"}\n\x00\n\xe2\x98"), []byte("\x82\n\r\n"), []byte("\n.\n"))
	f.Fuzz(func(t *testing.T, first, second, stderr []byte) {
		t.Parallel()
		b := newBox(t)
		for name, content := range map[string][]byte{"first": first, "second": second, "stderr": stderr} {
			if err := os.WriteFile(b.note(name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		l := b.started(b.launch("cat ~/notes/first; cat ~/notes/stderr >&2; cat ~/notes/second"))
		want := slices.Concat(first, second)
		out, last := b.followed(l.RunID)
		if !bytes.Equal(out, want) || !last.Ended {
			t.Errorf("got %q, want %q", out, want)
		}
		if !bytes.HasSuffix(stderr, last.Stderr) || len(last.Stderr) == 0 && len(stderr) > 0 {
			t.Errorf("got stderr %q, want the end of %q", last.Stderr, stderr)
		}
		from := int64(bytes.IndexByte(want, '\n') + 1)
		again, err := run.Follow(t.Context(), b, l.RunID, from, 0)
		if err != nil || !bytes.Equal(again.Data, want[from:]) {
			t.Errorf("behind %d: %q, %v, want %q", from, again.Data, err, want[from:])
		}
	})
}
