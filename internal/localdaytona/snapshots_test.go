package localdaytona_test

import (
	"net/http/httptest"
	"testing"

	"sandpiper/internal/localdaytona"
)

func TestSnapshots(t *testing.T) {
	h := open(t, nil)
	items := h.must(t, 200, "GET", "/api/snapshots", nil).json(t)["items"].([]any)
	one := h.must(t, 200, "GET", "/api/snapshots/sandpiper", nil).json(t)
	if len(items) != 1 || one["state"] != "active" || one["name"] != "sandpiper" {
		t.Errorf("snapshots %v, sandpiper %v, want one, active", items, one)
	}
	for _, key := range []string{"id", "general", "name", "state", "size", "entrypoint", "cpu", "gpu", "mem", "disk", "errorReason", "createdAt", "updatedAt", "lastUsedAt", "sourceSandboxId"} {
		if _, ok := one[key]; !ok {
			t.Errorf("a snapshot lacks %s", key)
		}
	}
}

func TestANamedSnapshotOutlivesItsServer(t *testing.T) {
	h := open(t, func(o *localdaytonaOptions) { o.Isolation = "none" })
	mine := h.must(t, 200, "POST", "/api/snapshots", object{"name": "mine/1", "imageName": "sandpiper:local", "entrypoint": []string{"sleep", "infinity"}}).json(t)
	if mine["state"] != "pending" || mine["general"] != false {
		t.Errorf("created: %v, want pending", mine)
	}
	bad := h.must(t, 200, "POST", "/api/snapshots", object{"name": "bad", "buildInfo": object{"dockerfileContent": "FROM sandpiper:local\nRUN true\n"}}).json(t)
	if v := h.must(t, 200, "GET", "/api/snapshots/bad", nil).json(t); v["state"] != "error" || v["errorReason"] == nil || v["id"] != bad["id"] {
		t.Errorf("one that would have to be built: %v, want error and why", v)
	}
	id := mine["id"].(string)
	b := h.create(t, object{"snapshot": "mine/1"})
	if v := h.must(t, 200, "GET", b.api(""), nil).json(t); v["snapshot"] != "mine/1" {
		t.Errorf("its sandbox: %v", v)
	}
	h.must(t, 204, "POST", "/api/snapshots/"+id+"/deactivate", nil)
	h.must(t, 400, "POST", "/api/snapshots/"+id+"/deactivate", nil)

	o := options(h.dir)
	o.Isolation = "none"
	again, err := localdaytona.New(o)
	if err != nil {
		t.Fatal(err)
	}
	later := serve(t, again)
	v := later.must(t, 200, "GET", "/api/snapshots/mine%2F1", nil).json(t)
	if v["id"] != id || v["state"] != "inactive" || v["lastUsedAt"] == nil || len(v["entrypoint"].([]any)) != 2 {
		t.Errorf("at the next server: %v", v)
	}
	if a := later.must(t, 400, "POST", "/api/sandbox", object{"snapshot": "mine/1"}).json(t); a["message"] != "Snapshot mine/1 is inactive" {
		t.Errorf("a sandbox of an inactive snapshot: %v", a)
	}
	if v := later.must(t, 200, "POST", "/api/snapshots/"+id+"/activate", nil).json(t); v["state"] != "active" {
		t.Errorf("activated: %v", v)
	}
	var names []string
	for _, item := range later.must(t, 200, "GET", "/api/snapshots?sort=name&order=asc", nil).json(t)["items"].([]any) {
		names = append(names, item.(object)["name"].(string))
	}
	if len(names) != 3 || names[0] != "bad" || names[1] != "mine/1" || names[2] != "sandpiper" {
		t.Errorf("by name: %v, want the general one last", names)
	}
	if a := later.must(t, 200, "DELETE", "/api/snapshots/"+id, nil); len(a.body) != 0 {
		t.Errorf("a deletion has the body %s", a.body)
	}
	later.must(t, 404, "GET", "/api/snapshots/mine%2F1", nil)
}

func serve(t *testing.T, s *localdaytona.Server) client {
	t.Helper()
	web := httptest.NewServer(s.Handler())
	t.Cleanup(web.Close)
	return client{web.URL, testKey, "0.205.1"}
}
