package localdaytona

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// apiFault is an error of the control plane that knows its answer.
type apiFault struct {
	status  int
	message string
}

func (f apiFault) Error() string { return f.message }

// faultBody is the control plane's error body.
type faultBody struct {
	Path       string `json:"path,omitempty"`
	Timestamp  string `json:"timestamp,omitempty"`
	StatusCode int    `json:"statusCode"`
	Error      string `json:"error"`
	Message    string `json:"message"`
}

func replyFault(w http.ResponseWriter, r *http.Request, err error) {
	f := apiFault{http.StatusInternalServerError, "Internal server error"}
	errors.As(err, &f)
	reply(w, f.status, faultBody{r.URL.Path, stamp(time.Now()), f.status, http.StatusText(f.status), f.message})
}

// stamp is the protocol's form of a time: ISO with milliseconds, UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	_ = out.Encode(body) // the client has gone
}

// proxyFault is the shape of errors that the proxy makes.
type proxyFault struct {
	StatusCode int    `json:"statusCode"`
	Message    string `json:"message"`
	Code       string `json:"code"`
	Timestamp  string `json:"timestamp"`
	Path       string `json:"path"`
	Method     string `json:"method"`
}

func replyProxyFault(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	reply(w, status, proxyFault{status, message, code, stamp(time.Now()), r.URL.Path, r.Method})
}
