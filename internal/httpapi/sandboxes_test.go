package httpapi_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/store/storetest"
)

// maker does to the first sandbox that waits what a worker would.
func (h *house) maker(do func(id string) error) (done chan error) {
	done = make(chan error, 1)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			waiting, err := h.store.SandboxesToCreate(h.t.Context(), storetest.Worker, time.Minute, 1, job.Limits{})
			if err == nil && len(waiting) == 1 {
				err = do(waiting[0].ID)
			}
			if err != nil || len(waiting) == 1 {
				done <- err
				return
			}
		}
	}()
	return done
}

func TestASandboxIsMadeWhileItsCallerWaits(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.Poll = time.Hour }) // news alone must do
	made := h.maker(func(id string) error {                                            // whoever makes it knows what of
		return h.store.SandboxReady(t.Context(), job.Sandbox{ID: id, PlatformID: "platform", Snapshot: "snap", Fingerprint: "print"})
	})
	a := h.post("/api/sandbox/create", `{"userId":"ann"}`)
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusCreated || !regexp.MustCompile(
		`^\{"sandboxId":"sbx_[a-z0-9]+","userId":"ann","status":"ready","createdAt":\d{13}\}\n$`).Match(a.body) {
		t.Errorf("%d %s", a.status, a.body)
	}
	box, err := h.store.Sandbox(t.Context(), storetest.Ann, into[struct{ SandboxID string }](t, a).SandboxID)
	if err != nil || box.Snapshot != "snap" || box.Fingerprint != "print" {
		t.Errorf("kept %+v, %v", box, err)
	}
}

func TestASandboxThatTakesLongIsCreatingStill(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.CreateWait = 30 * time.Millisecond })
	a := h.post("/api/sandbox/create", `{"userId":"ann"}`)
	if a.status != http.StatusAccepted || !strings.Contains(string(a.body), `"status":"creating"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if _, boxes := h.stored(); boxes != 1 {
		t.Errorf("%d sandboxes are stored, want 1", boxes)
	}
}

func TestASandboxThatCannotBeMadeIsAProblem(t *testing.T) {
	h := newHouse(t)
	made := h.maker(func(id string) error { return h.store.SandboxGone(t.Context(), id, "no capacity") })
	p := wantProblem(t, h.post("/api/sandbox/create", `{"userId":"ann"}`), http.StatusBadGateway, job.SandboxNotCreated)
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	if len(p.Errors) != 1 || p.Errors[0].Detail != "no capacity" {
		t.Errorf("faults %+v, want the reason", p.Errors)
	}
}

func TestBadSandboxRequestsLeaveNothing(t *testing.T) {
	h := newHouse(t)
	for name, tc := range map[string]bad{
		"no user":          invalid(`{}`, "/userId"),
		"a bad user":       invalid(`{"userId":" "}`, "/userId"),
		"an unknown field": invalid(`{"userId":"ann","size":"big"}`, "/size"),
		"no JSON":          malformed(`userId=ann`),
		"bad text":         untext(`{"userId":"\ud800"}`, "/userId"),
	} {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, h.post("/api/sandbox/create", tc.body), tc.status, tc.code)
			if len(p.Errors) != 1 || p.Errors[0].Pointer != tc.pointers[0] {
				t.Errorf("faults %+v, want one at %q", p.Errors, tc.pointers)
			}
		})
	}
	wantProblem(t, h.post("/api/sandbox/create", ""), http.StatusBadRequest, job.NotJSON)
	if _, boxes := h.stored(); boxes != 0 {
		t.Errorf("%d sandboxes are stored", boxes)
	}
}

func TestSandboxesAreShownAsTheyAre(t *testing.T) {
	h := newHouse(t)
	c := storetest.Claimed(t, h.store)
	storetest.Ready(t, h.store, c.Sandbox.ID)
	l := into[struct {
		Items []struct {
			SandboxID, UserID, Status, JobID, Snapshot string
			CreatedAt                                  time.Time
		}
	}](t, h.get("/api/sandboxes?userId=ann"))
	if len(l.Items) != 1 {
		t.Fatalf("%+v, want one", l)
	}
	if b := l.Items[0]; b.SandboxID != c.Sandbox.ID || b.UserID != "ann" || b.Status != "busy" || b.JobID != c.Job.ID || b.CreatedAt.IsZero() {
		t.Errorf("%+v", b)
	}
}

// keep deletes, as a worker would, the first sandbox that is given up.
func (h *house) keep() (done chan error) {
	done = make(chan error, 1)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			old, err := h.store.SandboxesToDelete(h.t.Context(), 1)
			if err == nil && len(old) == 1 {
				err = h.store.SandboxGone(h.t.Context(), old[0].ID, old[0].Reason)
			}
			if err != nil || len(old) == 1 {
				done <- err
				return
			}
		}
	}()
	return done
}

func TestASandboxIsDeletedWhileItsUserWaits(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.Poll = time.Hour }) // news alone must do
	b := storetest.Sandbox(t, h.store, storetest.Ann)
	path := "/api/sandboxes/" + b.ID + "?userId=ann"
	kept := h.keep()
	a := h.do(http.MethodDelete, path, "")
	if err := <-kept; err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again
		v := into[struct{ SandboxID, UserID, Status, Reason string }](t, a)
		if a.status != http.StatusOK || v.SandboxID != b.ID || v.UserID != "ann" || v.Status != "gone" || v.Reason != "deleted by its user" {
			t.Errorf("%d %s", a.status, a.body)
		}
		a = h.do(http.MethodDelete, path, "")
	}
	if l := h.get("/api/sandboxes?userId=ann"); strings.Contains(string(l.body), b.ID) {
		t.Errorf("it is listed: %s", l.body)
	}
}

func TestADeletionThatTakesLongIsAnsweredAllTheSame(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.CreateWait = 30 * time.Millisecond })
	b := storetest.Sandbox(t, h.store, storetest.Ann)
	a := h.do(http.MethodDelete, "/api/sandboxes/"+b.ID, "")
	if a.status != http.StatusAccepted || !strings.Contains(string(a.body), `"status":"cleanup"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestWhatIsNotDeleted(t *testing.T) {
	h := newHouse(t)
	c := storetest.Claimed(t, h.store)
	for name, tc := range map[string]struct {
		path   string
		status int
		code   job.Code
	}{
		"another user's sandbox": {c.Sandbox.ID + "?userId=bob", http.StatusNotFound, job.SandboxNotFound},
		"none":                   {"sbx_none?userId=ann", http.StatusNotFound, job.SandboxNotFound},
		"one with a job":         {c.Sandbox.ID + "?userId=ann", http.StatusConflict, job.SandboxBusy},
		"for a user that is bad": {c.Sandbox.ID + "?userId=a%20b", http.StatusBadRequest, job.InvalidQuery},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, h.do(http.MethodDelete, "/api/sandboxes/"+tc.path, ""), tc.status, tc.code)
		})
	}
	if b, err := h.store.Sandbox(t.Context(), storetest.Ann, c.Sandbox.ID); err != nil || b.State == job.SandboxCleanup {
		t.Errorf("it is %+v, %v", b, err)
	}
}
