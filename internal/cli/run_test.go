package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sandpiper/client"
)

// stubborn is an API that takes jobs, or hangs on them, and does nothing else that is asked of it.
func stubborn(t *testing.T, asked chan<- string, hangs bool) Run {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case asked <- r.URL.Path:
		default:
		}
		switch {
		case r.URL.Path != "/api/knowledge/process":
			w.WriteHeader(http.StatusInternalServerError)
		case hangs:
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"jobId":"job_1","accepted":true}`)
		}
	}))
	t.Cleanup(api.Close)
	h := api.Client()
	t.Cleanup(h.CloseIdleConnections)
	return Run{
		API: client.New(api.URL, client.Options{HTTP: h, Pause: time.Millisecond}), Job: client.Submit{UserID: "me", Input: "hi"},
		Out: io.Discard, Screen: NewScreen(io.Discard), Patience: 10 * time.Millisecond,
	}
}

func TestAnInterruptedSubmissionSaysThatTheJobMayBeThere(t *testing.T) {
	asked := make(chan string, 1)
	r := stubborn(t, asked, true)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() { <-asked; interrupt() }()
	if exit, err := r.Run(ctx); exit != 1 || err == nil || !strings.Contains(err.Error(), "`sandpiper jobs` shows it") {
		t.Errorf("Run = %d, %v", exit, err)
	}
}

func TestACancellationThatIsNotTakenEndsTheWatching(t *testing.T) {
	asked := make(chan string, 1)
	r := stubborn(t, asked, false)
	var said bytes.Buffer
	r.Screen = NewScreen(&said)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for path := range asked {
			if path == "/ws" {
				interrupt()
				return
			}
		}
	}()
	exit, err := r.Run(ctx)
	if exit != 1 || err == nil || !strings.Contains(err.Error(), "`sandpiper cancel job_1` asks again") || !strings.Contains(said.String(), "cancelling job_1") {
		t.Errorf("Run = %d, %v; said %q", exit, err, &said)
	}
}
