package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"
)

// Version is what GET /version answers: of the protocol's daemon that this one behaves like, marked as ours.
const Version = "0.190.0-sandpiper"

// fault is an error that knows its answer.
type fault struct {
	status  int
	code    string
	message string
}

func (f fault) Error() string { return f.message }

// bare is a fault whose answer has an empty body: most file endpoints answer so.
type bare int

func (b bare) Error() string { return http.StatusText(int(b)) }

func badRequest(message string) error {
	return fault{http.StatusBadRequest, "BAD_REQUEST", "bad request: " + message}
}

// faults is the one place that maps what the rooms below answer.
var faults = []struct {
	err error
	fault
}{
	{errNoSession, fault{http.StatusNotFound, "NOT_FOUND", "not found: session not found"}},
	{errNoCommand, fault{http.StatusNotFound, "NOT_FOUND", "not found: command not found"}},
	{errSessionExists, fault{http.StatusConflict, "CONFLICT", "conflict: session already exists"}},
	{errSessionEnded, fault{http.StatusGone, "SESSION_ENDED", "gone: the session's shell has ended; delete the session and create it again"}},
	{errNotReading, fault{http.StatusBadRequest, "BAD_REQUEST", "bad request: the command does not read its input"}},
	{errTimeout, fault{http.StatusRequestTimeout, "REQUEST_TIMEOUT", "request timeout: command execution timeout"}},
}

func faultOf(err error) fault {
	var f fault
	if errors.As(err, &f) {
		return f
	}
	for _, known := range faults {
		if errors.Is(err, known.err) {
			return known.fault
		}
	}
	return fault{http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "internal server error: " + err.Error()}
}

// faultBody is the toolbox's error body.
type faultBody struct {
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
	Code       string `json:"code,omitempty"`
	Timestamp  string `json:"timestamp"`
	Path       string `json:"path"`
	Method     string `json:"method,omitempty"`
	Source     string `json:"source,omitempty"`
}

// handler turns a handler that may fail into one that answers its fault.
func handler(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		var empty bare
		if errors.As(err, &empty) {
			w.WriteHeader(int(empty))
			return
		}
		f := faultOf(err)
		_ = reply(w, f.status, faultBody{
			StatusCode: f.status, Message: f.message, Code: f.code, Timestamp: time.Now().UTC().Format(time.RFC3339Nano),
			Path: r.URL.Path, Method: r.Method, Source: "DAYTONA_DAEMON",
		})
	}
}

// reply writes a JSON answer. Invalid UTF-8 becomes U+FFFD, one for each bad byte, as on the platform.
func reply(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	_ = out.Encode(body) // the client has gone
	return nil
}

func decode(r *http.Request, into any) error {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return fault{http.StatusBadRequest, "INVALID_REQUEST_BODY", fmt.Sprintf("invalid request body: %s", err)}
	}
	return nil
}

// bareOf is the empty answer of a file endpoint.
func bareOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return bare(http.StatusNotFound)
	case errors.Is(err, fs.ErrPermission):
		return bare(http.StatusForbidden)
	default:
		return bare(http.StatusBadRequest)
	}
}
