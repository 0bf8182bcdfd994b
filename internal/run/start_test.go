package run_test

import (
	"testing"

	"sandpiper/internal/run"
)

func TestAWarmJobTakesThreeRequests(t *testing.T) {
	b := newBox(t)
	l := b.started(b.launch(`cat; echo; echo done; echo oops >&2; exit 3`))
	out, last := b.followed(l.RunID)
	if string(out) != "What is 2+2?\ndone\n" || !last.Ended || last.Exit != 3 || string(last.Stderr) != "oops\n" {
		t.Errorf("followed %q, %+v", out, last)
	}
	if len(b.calls) != 3 {
		t.Errorf("requests: %v, want 3", b.calls)
	}
	if e := b.looked(l.RunID, ""); e.Kind != run.Ended || e.Exit != 3 {
		t.Errorf("Look = %+v", e)
	}
}
