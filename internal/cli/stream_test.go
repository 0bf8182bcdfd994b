package cli

import (
	"bytes"
	"testing"
)

func TestTextAndLinesShareAScreen(t *testing.T) {
	var shown bytes.Buffer
	s := NewScreen(&shown)
	w := newStreamed(Run{Screen: s, Out: &bytes.Buffer{}})
	s.Line("running")
	for _, piece := range []string{"one", "", " two\x1b", "\n"} {
		w.add(piece)
	}
	s.Line("refused")
	w.add("three")
	s.Line("done")
	s.EndText()
	if got, want := shown.String(), "running\none two\uFFFD\nrefused\nthree\ndone\n"; got != want {
		t.Errorf("shown %q, want %q", got, want)
	}
	if w.told("one two\x1b\nthree") {
		t.Error("what was streamed beside the answer is taken for the answer")
	}
}

func TestATerminalIsToldAnAnswerOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		pieces []string
		answer string
		told   bool
	}{
		"all of it":            {[]string{"The answer", " is 4.\n"}, "The answer is 4.", true},
		"with words before it": {[]string{"I look.", "The answer is 4."}, "The answer is 4.", false},
		"cut, and come again":  {[]string{"The ans", "The answer is 4."}, "The answer is 4.", false},
		"another form":         {[]string{"4"}, `{"result":"4"}`, false},
		"nothing streamed":     {nil, "4", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := &streamed{screen: NewScreen(&bytes.Buffer{}), out: &bytes.Buffer{}, live: true}
			for _, p := range tc.pieces {
				w.add(p)
			}
			if got := w.told(tc.answer); got != tc.told {
				t.Errorf("after %q, told(%q) = %v", tc.pieces, tc.answer, got)
			}
		})
	}
	if (*streamed)(nil).told("4") {
		t.Error("without streaming, nothing was told")
	}
}
