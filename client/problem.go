package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is a refusal by the API: a problem document (RFC 9457) with a stable code. Get at it with errors.As.
type Problem struct {
	Status int          `json:"status"` // the HTTP status
	Code   string       `json:"code"`   // for programs, for example "JOB_NOT_FOUND"; "" when the answer was not ours
	Title  string       `json:"title"`
	Detail string       `json:"detail"`
	Errors []FieldError `json:"errors"` // every fault of the request at once

	JobID     string `json:"jobId"`     // of a conflict of keys: what the key made when it came first
	SandboxID string `json:"sandboxId"` // likewise
	BatchID   string `json:"batchId"`   // likewise

	RequestID string `json:"requestId"` // where to look in the server's log

	RetryAfter time.Duration `json:"-"` // how long the server asks to be left alone; 0 when it did not say
}

// FieldError is one fault of a request: where it is (a JSON pointer, or "?name" for a query parameter) and what is
// wrong with it.
type FieldError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
	Code    string `json:"code"` // "" unless it says more than the problem's own

	Line     int    `json:"line"`     // of a batch, from 1, into which the pointer leads; 0 elsewhere
	CustomID string `json:"customId"` // of that line; "" where it could not be read
}

// String says where and what in one line.
func (e FieldError) String() string {
	at := ""
	if e.Line > 0 {
		at = fmt.Sprintf("line %d ", e.Line)
	}
	if e.CustomID != "" {
		at += fmt.Sprintf("(%q) ", e.CustomID)
	}
	if e.Pointer != "" {
		at += e.Pointer + " "
	}
	return at + e.Detail
}

func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP %d", p.Status)
	if p.Code != "" {
		b.WriteString(" " + p.Code)
	}
	for _, s := range []string{p.Title, p.Detail} {
		if s != "" {
			b.WriteString(": " + s)
		}
	}
	for _, e := range p.Errors {
		b.WriteString("; " + e.String())
	}
	return b.String()
}

// transient reports whether the same request may succeed a little later. A 500 is not: it is a defect, and it may
// come after the deed.
func (p *Problem) transient() bool {
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// problemOf reads a refusal. What is not a problem document, for instance a proxy's page, becomes one with the
// status alone and the beginning of its text.
func problemOf(r *http.Response) *Problem {
	raw, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	p := &Problem{}
	if err := json.Unmarshal(raw, p); err != nil || (p.Code == "" && p.Title == "") {
		text := strings.TrimSpace(string(raw))
		p = &Problem{Title: http.StatusText(r.StatusCode), Detail: text[:min(len(text), 200)]}
	}
	p.Status = r.StatusCode
	if n, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && n > 0 {
		p.RetryAfter = time.Duration(n) * time.Second
	}
	return p
}

// retryAfter is how long the server asked to be left alone, 0 when it did not say.
func retryAfter(err error) time.Duration {
	var p *Problem
	if errors.As(err, &p) {
		return p.RetryAfter
	}
	return 0
}
