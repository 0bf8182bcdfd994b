package dispatch_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sandpiper/internal/auth"
	"sandpiper/internal/dispatch"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

func TestSubmitCommitsTheJobAndThenPushesItsHint(t *testing.T) {
	s, q := &table{}, &wire{}
	d := dispatch.New(s, q, dispatch.Options{Now: newClock().Now, Log: quiet})
	j, replayed, err := d.Submit(t.Context(), auth.Caller{Tenant: "t", UserID: "u"}, job.Spec{Input: " hi\n"}, store.Key{})
	if err != nil || replayed {
		t.Fatalf("Submit: replayed %v, %v", replayed, err)
	}
	if !strings.HasPrefix(j.ID, "job_1793880000000_") || j.Tenant != "t" || j.UserID != "u" || j.Spec.Input != " hi\n" {
		t.Errorf("submitted %+v", j)
	}
	if j.Spec.Priority != job.Interactive || j.Spec.Timeout != job.DefaultTimeout {
		t.Errorf("spec without its defaults: %+v", j.Spec)
	}
	if len(q.pushed) != 1 || q.pushed[0] != (job.Hint{JobID: j.ID, DispatchSeq: 1, Priority: job.Interactive}) {
		t.Errorf("pushed %v, want one hint of it", q.pushed)
	}
}

func TestSubmitAgainWithTheSameKeyPushesNothing(t *testing.T) {
	s, q := &table{replay: true}, &wire{}
	_, replayed, err := dispatch.New(s, q, dispatch.Options{Log: quiet}).
		Submit(t.Context(), auth.User("u"), job.Spec{Input: "hi"}, store.Key{Name: "k"})
	if err != nil || !replayed || len(q.pushed) != 0 {
		t.Errorf("replayed %v, pushed %v, %v", replayed, q.pushed, err)
	}
}

func TestSubmitPushesNothingWhereManyHintsWait(t *testing.T) {
	s, q := &table{}, &wire{deep: true}
	_, _, err := dispatch.New(s, q, dispatch.Options{Log: quiet}).Submit(t.Context(), auth.User("u"), job.Spec{Input: "hi"}, store.Key{})
	if err != nil || len(q.pushed) != 0 || s.submitted[0].Hinted {
		t.Errorf("submitted %+v, pushed %v, %v", s.submitted, q.pushed, err)
	}
}

// refusing is a store that says that it is not the job's turn.
type refusing struct{ *table }

func (r refusing) Submit(ctx context.Context, c auth.Caller, j job.Job, k store.Key) (job.Job, bool, error) {
	offered := j.Hinted
	j.Hinted = false
	kept, replayed, err := r.table.Submit(ctx, c, j, k)
	if !offered {
		err = errors.New("no hint was offered")
	}
	return kept, replayed, err
}

func TestSubmitPushesNothingWhenItIsNotTheUsersTurn(t *testing.T) {
	q := &wire{}
	_, _, err := dispatch.New(refusing{&table{}}, q, dispatch.Options{Log: quiet}).
		Submit(t.Context(), auth.User("u"), job.Spec{Input: "hi"}, store.Key{})
	if err != nil || len(q.pushed) != 0 {
		t.Errorf("pushed %v, %v", q.pushed, err)
	}
}

func TestSubmitSucceedsWhenTheHintIsLost(t *testing.T) {
	s, q := &table{}, &wire{err: errAway}
	d := dispatch.New(s, q, dispatch.Options{Log: quiet})
	if _, _, err := d.Submit(t.Context(), auth.User("u"), job.Spec{Input: "hi"}, store.Key{}); err != nil || d.Lost() != 1 {
		t.Errorf("Submit: %v, %d hints lost, want success and 1", err, d.Lost())
	}
}

func TestSubmitPushesNothingThatIsNotCommitted(t *testing.T) {
	s, q := &table{err: job.ErrKeyReused}, &wire{}
	_, _, err := dispatch.New(s, q, dispatch.Options{Log: quiet}).
		Submit(t.Context(), auth.User("u"), job.Spec{Input: "hi"}, store.Key{})
	if !errors.Is(err, job.ErrKeyReused) || len(q.pushed) != 0 {
		t.Errorf("Submit: %v, pushed %v", err, q.pushed)
	}
}

// gone is a queue that tells whether a push was given up with its caller.
type gone struct{ err error }

func (g *gone) Push(ctx context.Context, _ job.Hint) error       { g.err = ctx.Err(); return g.err }
func (g *gone) Shallow(ctx context.Context, _ job.Priority) bool { return ctx.Err() == nil }

func TestTheHintGoesOutAlsoWhenTheCallerHasGoneAway(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	leave()
	q := &gone{errAway}
	_, _, err := dispatch.New(&table{}, q, dispatch.Options{Log: quiet}).
		Submit(ctx, auth.User("u"), job.Spec{Input: "hi"}, store.Key{})
	if err != nil || q.err != nil {
		t.Errorf("Submit: %v, push: %v", err, q.err)
	}
}

func TestSubmitSaysEveryFaultAtOnceAndStoresNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		c    auth.Caller
		spec job.Spec
		want []string
	}{
		"no user and no input":        {auth.User(""), job.Spec{}, []string{"/userId", "/input"}},
		"a user with a blank":         {auth.User("a b"), job.Spec{Input: "x"}, []string{"/userId"}},
		"an operator, a bad model":    {auth.LocalOperator(), job.Spec{Input: "x", Model: "-x"}, []string{"/model"}},
		"an operator for a bad user":  {auth.Caller{Operator: true, UserID: "\n"}, job.Spec{Input: "x"}, []string{"/userId"}},
		"a priority that nobody knew": {auth.User("u"), job.Spec{Input: "x", Priority: "now"}, []string{"/priority"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &table{}
			_, _, err := dispatch.New(s, &wire{}, dispatch.Options{Log: quiet}).Submit(t.Context(), tc.c, tc.spec, store.Key{})
			var field job.FieldError
			if !errors.As(err, &field) || len(s.submitted) != 0 {
				t.Fatalf("Submit: %v, stored %v", err, s.submitted)
			}
			for _, pointer := range tc.want {
				if !strings.Contains(err.Error(), pointer+" must") {
					t.Errorf("no fault of %s in: %v", pointer, err)
				}
			}
		})
	}
}

func TestCancelKeepsTheReason(t *testing.T) {
	d := dispatch.New(&table{err: job.ErrFinished}, &wire{}, dispatch.Options{Log: quiet})
	if _, err := d.Cancel(t.Context(), auth.User("u"), "job_1"); !errors.Is(err, job.ErrFinished) {
		t.Errorf("Cancel: %v, want ErrFinished", err)
	}
}
