package job

import (
	"errors"
	"fmt"
)

// What the rooms below the API answer. package httpapi maps them to problem documents in one table.
var (
	ErrNotFound        = errors.New("no such job")     // or not the caller's
	ErrSandboxNotFound = errors.New("no such sandbox") // or not the caller's
	ErrLaneNotFound    = errors.New("no such lane")
	ErrBatchNotFound   = errors.New("no such batch") // or not the caller's, or its upload is not complete
	ErrBatchDropped    = errors.New("the upload of the batch was given up")
	ErrSandboxBusy     = errors.New("a job runs in the sandbox")
	ErrSandboxLimit    = errors.New("there are as many sandboxes as may be, and none is idle")
	ErrFinished        = errors.New("the job has ended")
	ErrUnfinished      = errors.New("the job has not ended")
	ErrKeyReused       = errors.New("idempotency key came with another body")
	ErrNotClaimable    = errors.New("not claimable") // another holds it, it is not due, or its sandbox is busy
	ErrLost            = errors.New("another attempt owns the job")
	ErrForbidden       = errors.New("not allowed")
	ErrBadCursor       = errors.New("not a cursor of this stream")
)

// KeyReused is ErrKeyReused, and what the key made when it came first.
type KeyReused struct{ JobID, SandboxID, BatchID string }

func (k KeyReused) Error() string {
	return fmt.Sprintf("%v: it made %s%s%s", ErrKeyReused, k.JobID, k.SandboxID, k.BatchID)
}

// Is reports whether target is ErrKeyReused.
func (k KeyReused) Is(target error) bool { return target == ErrKeyReused }

// FieldError is one fault of a request: where it is (a JSON pointer, RFC 6901, or "?name" for a query parameter)
// and what must be true instead. Many are joined with errors.Join.
type FieldError struct {
	Pointer string
	Must    string
}

func (e FieldError) Error() string { return fmt.Sprintf("%s %s", e.Pointer, e.Must) }
