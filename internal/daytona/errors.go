package daytona

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What an *Error may be asked for with errors.Is.
var (
	ErrNotFound     = errors.New("not found")
	ErrUnauthorized = errors.New("the key was refused") // stop: many of these block the whole address, good keys included
	ErrForbidden    = errors.New("not allowed")
	ErrConflict     = errors.New("conflict")
	ErrQuota        = errors.New("a quota or the capacity is used up")          // try again later
	ErrTooBig       = errors.New("more is asked for than one sandbox may have") // asking again does not help
	ErrRateLimited  = errors.New("too many requests")
	ErrTimeout      = errors.New("the command took too long and was killed")
	ErrSessionGone  = errors.New("the session is gone or its shell has ended") // make it again; the command did not run
	ErrNotRunning   = errors.New("the sandbox is not running")
	ErrFull         = errors.New("the sandbox's disk is full")                     // asking it again does not help
	ErrInactive     = errors.New("the snapshot is inactive")                       // see Client.Activate
	ErrSettling     = errors.New("the snapshot is still being put out of service") // for up to ten minutes
)

// ErrFailed means that a sandbox ended in an error state instead of starting.
var ErrFailed = errors.New("the sandbox failed")

// Error is a refusal by the API, the proxy or a sandbox's daemon, whatever shape its body had.
type Error struct {
	Status     int           // HTTP status, or the body's own when it names one
	Code       string        // e.g. "SESSION_ENDED"; "" when the body has none
	Message    string        // for people; never holds the key
	RetryAfter time.Duration // from Retry-After or Retry-After-<class>; 0 when not said
	Method     string
	Path       string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %d", e.Method, e.Path, e.Status)
	if e.Message != "" {
		text += " " + e.Message
	}
	return text
}

// Is makes errors.Is answer for the sentinels.
func (e *Error) Is(target error) bool {
	for _, k := range kinds {
		if k.is == target && k.when(e) {
			return true
		}
	}
	return false
}

// kinds maps refusals to sentinels. Quota errors and some others share a status with plain mistakes and are told
// apart by their text only.
var kinds = []struct {
	is   error
	when func(*Error) bool
}{
	{ErrNotFound, status(http.StatusNotFound)},
	{ErrUnauthorized, status(http.StatusUnauthorized)},
	{ErrForbidden, status(http.StatusForbidden)},
	{ErrConflict, status(http.StatusConflict)},
	{ErrRateLimited, status(http.StatusTooManyRequests)},
	{ErrTimeout, status(http.StatusRequestTimeout)},
	{ErrQuota, func(e *Error) bool {
		return e.Status == http.StatusBadRequest && !e.says("disk quota exceeded") && // that is a sandbox's: ErrFull
			e.says("limit exceeded", "quota exceeded", "no available runners")
	}},
	{ErrTooBig, func(e *Error) bool {
		return e.Status == http.StatusBadRequest && e.says("exceeds maximum allowed per sandbox")
	}},
	{ErrFull, func(e *Error) bool { return e.says("no space left on device", "disk quota exceeded") }},
	{ErrInactive, func(e *Error) bool {
		return e.Status == http.StatusBadRequest && e.says("snapshot ") && e.says("is inactive")
	}},
	{ErrSettling, func(e *Error) bool {
		return e.Status == http.StatusBadRequest && e.says("deactivation is still in progress")
	}},
	{ErrNotRunning, func(e *Error) bool {
		return e.Status == http.StatusBadRequest && e.says("is the sandbox started?")
	}},
	{ErrSessionGone, func(e *Error) bool {
		// An unknown session answers 500, a dead shell 500 "broken pipe" or, on newer daemons, 410.
		return e.Code == "SESSION_ENDED" || e.says("session not found") ||
			(e.Status == http.StatusInternalServerError && e.says("failed to write command"))
	}},
}

func status(n int) func(*Error) bool { return func(e *Error) bool { return e.Status == n } }

func (e *Error) says(any ...string) bool {
	text := strings.ToLower(e.Message)
	for _, part := range any {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// Temporary reports whether trying the same again later may help: the platform was not reached, is overloaded or
// has no room. A refusal of the request itself is not temporary. Another package's error in the chain may decide
// for itself, by a method Lasting() bool.
func Temporary(err error) bool {
	var decided interface{ Lasting() bool }
	if errors.As(err, &decided) && decided.Lasting() {
		return false
	}
	var e *Error
	if !errors.As(err, &e) {
		return err != nil && !errors.Is(err, ErrFailed)
	}
	switch {
	case errors.Is(e, ErrFull), errors.Is(e, ErrSessionGone):
		return false
	case errors.Is(e, ErrQuota), errors.Is(e, ErrSettling):
		return true
	}
	return e.passing() || e.Status == http.StatusRequestTimeout
}

// passing reports whether a repeatable request should be repeated.
func (e *Error) passing() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// refusal makes the error for a failed answer. Bodies come as JSON in several shapes, as plain text, or not at all.
func (c *Client) refusal(q call, resp *http.Response, body []byte) *Error {
	e := &Error{
		Status: resp.StatusCode, Method: q.method, Path: pathOf(q.url),
		RetryAfter: retryAfter(resp.Header, time.Now()),
	}
	e.decode(body)
	if e.Message == "" {
		e.Message = http.StatusText(e.Status)
	}
	if c.key != "" {
		e.Message = strings.ReplaceAll(e.Message, c.key, "[secret]")
		e.Path = strings.ReplaceAll(e.Path, c.key, "[secret]")
	}
	return e
}

func (e *Error) decode(body []byte) {
	var shape struct {
		StatusCode int             `json:"statusCode"`
		Code       string          `json:"code"`
		ErrorCode  string          `json:"error_code"`
		Message    json.RawMessage `json:"message"`
		Error      json.RawMessage `json:"error"`
		Errors     []string        `json:"errors"`
	}
	if json.Unmarshal(body, &shape) != nil {
		e.Message = clip(strings.TrimSpace(string(body)))
		return
	}
	if shape.StatusCode >= 400 && shape.StatusCode <= 599 {
		e.Status = shape.StatusCode
	}
	e.Code = first(shape.Code, shape.ErrorCode)
	e.Message = clip(first(words(shape.Message), strings.Join(shape.Errors, ", "), words(shape.Error)))
}

// words reads a message that is one string or a list of them.
func words(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var many []string
	if json.Unmarshal(raw, &many) == nil {
		return strings.Join(many, ", ")
	}
	return ""
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// clip keeps error texts short enough for a log line: a proxy may answer with a whole web page.
func clip(text string) string {
	const most = 500
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// retryAfter reads Retry-After and Retry-After-<class> (the platform sends the latter only, e.g.
// Retry-After-sandbox-create) and returns the longest.
func retryAfter(h http.Header, now time.Time) time.Duration {
	var longest time.Duration
	for name, values := range h {
		if name != "Retry-After" && !strings.HasPrefix(name, "Retry-After-") {
			continue
		}
		for _, v := range values {
			if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
				longest = max(longest, time.Duration(n)*time.Second)
			} else if at, err := http.ParseTime(v); err == nil {
				longest = max(longest, at.Sub(now))
			}
		}
	}
	return longest
}
