package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"sandpiper/internal/job"
)

func TestEveryErrorHasOneProblem(t *testing.T) {
	seen := map[error]bool{}
	for _, row := range problems {
		if seen[row.err] {
			t.Errorf("%v stands in the table twice", row.err)
		}
		seen[row.err] = true
		p, known := problemOf(fmt.Errorf("submit job_1: %w", row.err)) // found below what was being done
		if !known || p.Status != row.status || p.Code != row.code || p.Detail != row.detail || p.Title != http.StatusText(row.status) {
			t.Errorf("%v becomes %+v (known: %v)", row.err, p, known)
		}
		if p.Status < 400 || (p.Status >= 500 && row.err != errNotCreated && row.err != errAway && row.err != errFull) {
			t.Errorf("%v is answered with %d", row.err, p.Status)
		}
	}
	for _, err := range []error{
		job.ErrNotFound, job.ErrLaneNotFound, job.ErrBatchNotFound, job.ErrBatchDropped, job.ErrSandboxNotFound, job.ErrFinished, job.ErrKeyReused, job.ErrForbidden, job.ErrBadCursor,
	} {
		if !seen[err] {
			t.Errorf("%v of package job is not in the table", err)
		}
	}
}

func TestFaultsAreFoundWhereverTheyAreWrapped(t *testing.T) {
	one, two := job.FieldError{Pointer: "/input", Must: "must be"}, job.FieldError{Pointer: "/model", Must: "must not"}
	err := fmt.Errorf("submit: %w", errors.Join(one, fmt.Errorf("option: %w", unavailable{two})))
	p, known := problemOf(err)
	if !known || p.Status != http.StatusUnprocessableEntity || p.Code != job.InvalidRequest || len(p.Errors) != 2 ||
		p.Errors[0] != (fault{Pointer: "/input", Detail: "must be"}) || p.Errors[1] != (fault{Pointer: "/model", Detail: "must not", Code: job.OptionNotAvailable}) {
		t.Errorf("%+v (known: %v)", p, known)
	}
}

func TestWhatIsNotInTheTableIsOurFault(t *testing.T) {
	if p, known := problemOf(errors.New("disk full at /x")); known || p.Status != http.StatusInternalServerError || p.Code != job.InternalError {
		t.Errorf("%+v (known: %v)", p, known)
	}
}

func TestEveryCloseFitsInItsFrame(t *testing.T) {
	for _, c := range []Close{CloseDraining, CloseSlow, CloseSilent, CloseExpired, CloseTrouble} {
		if c.Code < 4000 || c.Code > 4499 || len(c.Reason) > 123 {
			t.Errorf("%v: want a code that means come back, and at most 123 bytes (has %d)", c, len(c.Reason))
		}
	}
}
