package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
)

// SubmitBatch is many prompts to run.
type SubmitBatch struct {
	UserID string // whose batch it is; needed where the key belongs to nobody or there is none

	// Lines is a line of JSON for each prompt: {"custom_id", "input"} and the fields of Submit. It is sent as it is read and
	// never held in memory. One that can go back to where it stands (io.Seeker: an open file does, a pipe does not) is sent
	// again after a 503 or a lost connection, the same bytes with the same key; any other is sent once.
	Lines io.Reader

	SkipBad bool // leave lines with a fault out, instead of refusing the whole

	// IdempotencyKey makes repeating the same bytes harmless: they are one batch. When it is empty, SubmitBatch makes one for
	// this call.
	IdempotencyKey string
}

// SubmitBatch hands many prompts over. When it returns without an error all of them are stored for good, but for those that
// were left out; a *Problem with status 400, 409, 413 or 422 says that nothing was stored, and names the lines with a fault.
// After any other error ask again with the same key and the same bytes, if the batch may have been taken.
func (c *Client) SubmitBatch(ctx context.Context, s SubmitBatch) (AcceptedBatch, error) {
	if s.IdempotencyKey == "" {
		s.IdempotencyKey = rand.Text()
	}
	from, err := sourceOf(s.Lines)
	if err != nil {
		return AcceptedBatch{}, fmt.Errorf("submit a batch: %w", err)
	}
	var a AcceptedBatch
	err = c.repeat(ctx, from.back != nil, func() error {
		a = AcceptedBatch{}
		return c.upload(ctx, s, from, &a)
	})
	if err == nil {
		err = a.whole()
	}
	if err != nil {
		return AcceptedBatch{}, fmt.Errorf("submit a batch: %w", err)
	}
	return a, nil
}

// upload sends all lines once.
func (c *Client) upload(ctx context.Context, s SubmitBatch, from source, out any) error {
	if err := from.rewind(); err != nil {
		return unreadable{err}
	}
	body := &sent{from: from.Reader}
	if from.back != nil {
		body.from = io.LimitReader(from.Reader, from.size) // a file may grow while it is sent
	}
	defer body.leave(from.back != nil)
	query := url.Values{}
	if s.UserID != "" {
		query.Set("userId", s.UserID)
	}
	if s.SkipBad {
		query.Set("onError", "skip")
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url("/api/batches", query), body)
	if err != nil {
		return err
	}
	q.Header = c.header()
	q.Header.Set("Content-Type", "application/jsonl")
	q.Header.Set("Idempotency-Key", s.IdempotencyKey)
	q.Header.Set("Expect", "100-continue") // what is refused at once is not sent first
	if from.back != nil {
		if q.ContentLength = from.size; from.size == 0 {
			q.Body = http.NoBody
		}
	}
	err = c.ask(q, out)
	if broken := body.failure(); err != nil && broken != nil {
		return unreadable{broken}
	}
	return err
}

// unreadable says that the lines themselves could not be read: sending them again does not help.
type unreadable struct{ err error }

func (u unreadable) Error() string { return "read the lines: " + u.err.Error() }
func (u unreadable) Unwrap() error { return u.err }

// source is where lines come from.
type source struct {
	io.Reader
	back        io.Seeker // nil: it can be read once
	start, size int64     // of what can be read again
}

// sourceOf finds out whether r can go back. That a type has Seek proves nothing: a pipe is an *os.File too.
func sourceOf(r io.Reader) (source, error) {
	if r == nil {
		return source{}, errors.New("there are no lines")
	}
	seeker, ok := r.(io.Seeker)
	if !ok {
		return source{Reader: r}, nil
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return source{Reader: r}, nil
	}
	end, err := seeker.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = seeker.Seek(start, io.SeekStart)
	}
	if err != nil {
		return source{}, unreadable{err}
	}
	return source{Reader: r, back: seeker, start: start, size: end - start}, nil
}

// rewind goes back to where the lines begin.
func (f source) rewind() error {
	if f.back == nil {
		return nil
	}
	_, err := f.back.Seek(f.start, io.SeekStart)
	return err
}

// sent is the body of one request. The transport may go on reading it when the answer is there already: after leave it
// reads nothing more, so that the next request has the lines for itself.
type sent struct {
	from io.Reader
	mu   sync.Mutex // held while it reads
	over bool
	err  error // of the lines
}

// errOver ends what is left of a request that was answered.
var errOver = errors.New("the request is over")

func (b *sent) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, errOver
	}
	n, err := b.from.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// Close is the transport's: the lines are the caller's to close.
func (b *sent) Close() error { return nil }

// leave ends the reading. Where lines can be read once only nobody needs them again, and a read may block for ever: then
// it is not waited for.
func (b *sent) leave(wait bool) {
	if !wait && !b.mu.TryLock() {
		return
	} else if wait {
		b.mu.Lock()
	}
	b.over = true
	b.mu.Unlock()
}

func (b *sent) failure() error {
	if !b.mu.TryLock() {
		return nil // it still reads
	}
	defer b.mu.Unlock()
	return b.err
}
