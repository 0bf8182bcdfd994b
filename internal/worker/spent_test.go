package worker

import (
	"net/http/httptest"
	"strings"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// TestEveryRunOfAJobIsCounted: what a run used counts when it is over, also where the job is tried again.
func TestEveryRunOfAJobIsCounted(t *testing.T) {
	s := storetest.SQLite(t)
	w, err := New(s, newGate(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	used := []job.ModelUsage{{Model: "claude-sonnet-5-5", InputTokens: 10}}
	c := storetest.Claimed(t, s)
	storetest.Launched(t, s, c)
	first := decision{requeue: &store.Requeue{ChargeTry: true, Reason: "retry", Spent: job.Spend{Usage: used}}}
	if err := newAttempt(w, c).settle(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	c = storetest.Claim(t, s, c.Job.ID)
	storetest.Launched(t, s, c)
	o := job.Success(job.Result{Text: "4", Format: job.FormatText})
	o.Usage, o.Earlier = used, c.Spent
	if err := newAttempt(w, c).settle(t.Context(), decision{outcome: &o}); err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	w.o.Metrics.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`sandpiper_tokens_total{key="none",kind="input",model="sonnet"} 20`,
		`sandpiper_unpriced_jobs_total{key="none",model="sonnet"} 1`,
	} {
		if !strings.Contains(answer.Body.String(), want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
}
