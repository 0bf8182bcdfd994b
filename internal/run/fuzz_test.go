package run_test

import (
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

// FuzzArguments: every argument and variable reaches the command as it was, through the real scripts.
func FuzzArguments(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, text)
	}
	f.Add("two", "words here")
	f.Fuzz(func(t *testing.T, argument, value string) {
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
