package storetest

import (
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var spendFacts = []fact{
	{"what all tries of a job used stands in its end", triesAddUp},
	{"a try without a known price makes the cost unknown", unknownPrice},
	{"tries that cost nothing add nothing", freeTries},
}

func used(model string, in int64, cost float64) job.Spend {
	return job.Spend{Usage: []job.ModelUsage{{Model: model, InputTokens: in, OutputTokens: 1}}, CostUSD: &cost, Price: "2.1.330"}
}

// tried fails one launch of a claimed job that was judged to have used what is in spent, and claims it again.
func tried(t testing.TB, s *store.Store, c store.Claimed, spent job.Spend) store.Claimed {
	t.Helper()
	Launched(t, s, c)
	q := store.Requeue{ChargeTry: true, Reason: "retry", Spent: spent}
	for range 2 { // the second time as if the reply had been lost
		if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, q); err != nil {
			t.Fatal(err)
		}
	}
	return Claim(t, s, c.Job.ID)
}

// answered ends a job with an answer that used what is in last, after what the claim says was used before.
func answered(t testing.TB, s *store.Store, c store.Claimed, last job.Spend) job.Outcome {
	t.Helper()
	Launched(t, s, c)
	o := job.Success(job.Result{Text: "4", Format: job.FormatText})
	o.Usage, o.CostUSD, o.PriceVersion, o.Earlier = last.Usage, last.CostUSD, last.Price, c.Spent
	if err := s.Finish(t.Context(), c.Attempt, o, c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	return *Read(t, s, c.Job.ID).Outcome
}

func triesAddUp(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	Ready(t, s, c.Sandbox.ID)
	two := used("haiku", 5, 0.25)
	two.Usage = append(two.Usage, job.ModelUsage{Model: "sonnet", CacheReadTokens: 7, CacheWriteTokens: 8})
	c = tried(t, s, tried(t, s, c, used("sonnet", 10, 0.5)), two) // a model, then two models with one cost
	o := answered(t, s, c, used("sonnet", 20, 1))
	same(t, "usage of three tries", o.Usage, []job.ModelUsage{
		{Model: "sonnet", InputTokens: 30, OutputTokens: 2, CacheReadTokens: 7, CacheWriteTokens: 8},
		{Model: "haiku", InputTokens: 5, OutputTokens: 1},
	})
	if o.CostUSD == nil || *o.CostUSD != 1.75 || o.PriceVersion != "2.1.330" {
		t.Errorf("cost %v by %q, want 1.75", o.CostUSD, o.PriceVersion)
	}
}

func unknownPrice(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	Ready(t, s, c.Sandbox.ID)
	o := answered(t, s, tried(t, s, c, job.Spend{Usage: used("new", 10, 0).Usage}), used("sonnet", 20, 1))
	if o.CostUSD != nil || o.PriceVersion != "" || len(o.Usage) != 2 {
		t.Errorf("cost %v by %q of %+v, want none of both models", o.CostUSD, o.PriceVersion, o.Usage)
	}
}

func freeTries(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	Ready(t, s, c.Sandbox.ID)
	free := 0.0
	o := answered(t, s, tried(t, s, tried(t, s, c, job.Spend{}), job.Spend{CostUSD: &free, Price: "offline"}), used("sonnet", 20, 1))
	if o.CostUSD == nil || *o.CostUSD != 1 || len(o.Usage) != 1 {
		t.Errorf("cost %v of %+v, want those of the answer alone", o.CostUSD, o.Usage)
	}
}
