package boot

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sandpiper/internal/config"
	"sandpiper/internal/daytona"
)

func TestAProbeIsAskedOnceForManyQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		var now error
		asked := 0
		probe := remember(10*time.Second, func(context.Context) error { asked++; return now })
		for _, step := range []struct {
			after time.Duration
			now   error
			want  error
			asked int
		}{
			{0, nil, nil, 1},
			{9 * time.Second, away, nil, 1}, // remembered
			{2 * time.Second, away, away, 2},
			{500 * time.Millisecond, nil, away, 2}, // what is away is asked again soon, but not at once
			{time.Second, nil, nil, 3},
			{9 * time.Second, nil, nil, 3},
		} {
			time.Sleep(step.after) // the bubble's clock: no time passes
			now = step.now
			if err := probe(t.Context()); !errors.Is(err, step.want) || asked != step.asked {
				t.Errorf("after %v: %v, asked %d times, want %v and %d", step.after, err, asked, step.want, step.asked)
			}
		}
	})
}

func TestAQuestionThatWasGivenUpSaysNothing(t *testing.T) {
	probe := remember(time.Hour, func(ctx context.Context) error { return ctx.Err() })
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := probe(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("it answers %v", err)
	}
	if err := probe(t.Context()); err != nil {
		t.Errorf("the next one hears %v", err)
	}
}

func TestAServerIsThereUnlessItFails(t *testing.T) {
	var status atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a probe sends a key")
		}
		w.WriteHeader(int(status.Load()))
	}))
	probe := probeOf(server.URL)
	for code, there := range map[int32]bool{200: true, 404: true, 401: true, 500: false, 503: false} {
		status.Store(code)
		if err := probe(t.Context()); (err == nil) != there {
			t.Errorf("%d means %v", code, err)
		}
	}
	server.Close()
	if probe(t.Context()) == nil {
		t.Error("a server that is gone is there")
	}
}

// TestWhatAProcessMustHave: an api, or an up, is ready with SQL alone. A worker needs what it calls itself; the model API is
// called by its sandboxes.
func TestWhatAProcessMustHave(t *testing.T) {
	platform := daytona.New(daytona.Options{URL: "http://127.0.0.1:1/api"})
	defer platform.Close()
	for name, tc := range map[string]struct {
		house House
		want  map[string]bool // :: what is looked at → it is needed
	}{
		"an api": {House{cfg: config.Config{Role: config.RoleAPI}}, map[string]bool{"database": true, "redis": false}},
		"an up": {
			House{cfg: config.Config{Role: config.RoleUp}, platform: platform},
			map[string]bool{"database": true, "redis": false, "sandboxes": false},
		},
		"a worker": {
			House{cfg: config.Config{Role: config.RoleWorker}, platform: platform},
			map[string]bool{"database": true, "redis": true, "sandboxes": true, "model": false},
		},
		"a worker without sandboxes": {
			House{cfg: config.Config{Role: config.RoleWorker, Executor: "noop"}, platform: platform},
			map[string]bool{"database": true, "redis": true, "sandboxes": false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]bool{}
			for _, check := range tc.house.checks() {
				got[check.Name] = check.Required
			}
			if !maps.Equal(got, tc.want) {
				t.Errorf("it needs %v, want %v", got, tc.want)
			}
		})
	}
}
