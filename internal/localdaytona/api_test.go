package localdaytona_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestCreatedSandboxHasEveryKey(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		v := h.must(t, 200, "POST", "/api/sandbox", object{
			"name": "mine", "env": object{"X": "y"}, "labels": object{"a": "b"}, "autoStopInterval": 60, "autoDeleteInterval": 1440, "unknown": []int{1},
		}).json(t)
		b := box{h.client, v["id"].(string)}
		made.Lock()
		made.ids = append(made.ids, b.id)
		made.Unlock()
		for key, want := range map[string]any{
			"name": "mine", "user": "daytona", "public": false, "networkBlockAll": false, "state": "creating", "desiredState": "started",
			"snapshot": "sandpiper", "autoStopInterval": 60.0, "autoArchiveInterval": 10080.0, "autoDeleteInterval": 1440.0,
			"toolboxProxyUrl": h.url + "/toolbox", "backupState": "None", "sandboxClass": "container", "recoverable": false,
		} {
			if v[key] != want {
				t.Errorf("%s = %v, want %v", key, v[key], want)
			}
		}
		b.waitFor(t, "started")
		listed := h.must(t, 200, "GET", "/api/sandbox", nil).json(t)
		item := listed["items"].([]any)[0].(map[string]any)
		if _, ok := listed["nextCursor"]; !ok || listed["nextCursor"] != nil {
			t.Errorf("nextCursor of the last page = %v, want null", listed["nextCursor"])
		}
		for _, key := range []string{"id", "organizationId", "name", "user", "labels", "public", "networkBlockAll", "target", "cpu", "gpu", "memory", "disk", "toolboxProxyUrl"} {
			if _, ok := v[key]; !ok {
				t.Errorf("a sandbox lacks %s", key)
			}
			if _, ok := item[key]; !ok {
				t.Errorf("a listed sandbox lacks %s", key)
			}
		}
		if v["env"].(map[string]any)["X"] != "y" || item["env"] != nil {
			t.Errorf("env = %v, in lists %v, want it in the first only", v["env"], item["env"])
		}
		if got := h.must(t, 200, "GET", "/api/sandbox/mine", nil).json(t)["id"]; got != b.id {
			t.Errorf("by name: %v, want %s", got, b.id)
		}
		if got := h.must(t, 200, "GET", b.api("/toolbox-proxy-url"), nil).json(t)["url"]; got != h.url+"/toolbox" {
			t.Errorf("toolbox-proxy-url = %v", got)
		}
		got := b.run(t, "echo $X $DAYTONA_SANDBOX_ID $DAYTONA_SANDBOX_SNAPSHOT $DAYTONA_SANDBOX_USER $DAYTONA_REGION_ID $LANG; test -n $DAYTONA_ORGANIZATION_ID$HOSTNAME$PATH")
		if want := "y " + b.id + " sandpiper daytona local C.UTF-8\n"; got != want {
			t.Errorf("environment %q, want %q", got, want)
		}
	})
}

func TestRefusals(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, object{"name": "taken"})
	for fact, tc := range map[string]struct {
		method, path string
		body         any
		status       int
		message      string
	}{
		"an unknown snapshot":       {"POST", "/api/sandbox", object{"snapshot": "nope"}, 400, "Snapshot nope not found. Did you add it through the Daytona Dashboard?"},
		"a name is taken once":      {"POST", "/api/sandbox", object{"name": "taken"}, 409, "Sandbox with name taken already exists"},
		"a wrong type":              {"POST", "/api/sandbox", object{"snapshot": 1}, 400, "snapshot must be a string"},
		"two wrong types":           {"POST", "/api/sandbox", object{"name": 1, "env": 2}, 400, "name must be a string, env must be an object"},
		"a body that is no JSON":    {"POST", "/api/sandbox", "text", 400, "Invalid JSON in request body"},
		"resources with a snapshot": {"POST", "/api/sandbox", object{"cpu": 2}, 400, "Cannot specify Sandbox resources when using a snapshot"},
		"an unknown region":         {"POST", "/api/sandbox", object{"target": "mars"}, 404, "Region not found"},
		"an unknown volume":         {"POST", "/api/sandbox", object{"volumes": []object{{"volumeId": "v", "mountPath": "/v"}}}, 404, "Volume 'v' not found"},
		"a negative interval":       {"POST", "/api/sandbox/taken/autostop/-1", nil, 400, "Auto-stop interval must be non-negative"},
		"an unknown sandbox":        {"GET", "/api/sandbox/none", nil, 404, "Sandbox with ID or name none not found"},
		"an unknown route":          {"GET", "/api/nope", nil, 404, "Cannot GET /api/nope"},
		"an unknown snapshot's row": {"GET", "/api/snapshots/nope", nil, 404, "Snapshot with name nope not found"},
		"labels that are none":      {"PUT", "/api/sandbox/taken/labels", object{"labels": 1}, 400, "labels must be an object"},
		"labels of a list":          {"GET", "/api/sandbox?labels=nope", nil, 400, "Invalid labels JSON format"},
		"a cursor of another":       {"GET", "/api/sandbox?cursor=%21", nil, 400, "Invalid cursor"},
		"a page before the first":   {"GET", "/api/sandbox/paginated?page=0", nil, 400, "page must not be less than 1"},
		"a page too large":          {"GET", "/api/snapshots?limit=201", nil, 400, "limit must not be greater than 200"},
		"a size that is no number":  {"GET", "/api/sandbox?minCpu=much", nil, 400, "minCpu must be a number conforming to the specified constraints"},
		"a moment that is none":     {"GET", "/api/sandbox?createdAtAfter=noon", nil, 400, "createdAtAfter must be a Date instance"},
		"a flag that is none":       {"GET", "/api/sandbox?isPublic=maybe", nil, 400, "isPublic must be a boolean value"},
		"a snapshot without a name": {"POST", "/api/snapshots", object{"imageName": "sandpiper:local"}, 400, "name should not be empty"},
		"a snapshot's wrong order":  {"GET", "/api/snapshots?sort=size", nil, 400, "sort must be one of the following values: name, state, lastUsedAt, createdAt"},
		"a snapshot by its name":    {"DELETE", "/api/snapshots/sandpiper", nil, 404, "Snapshot with name sandpiper not found"},
	} {
		a := h.must(t, tc.status, tc.method, tc.path, tc.body)
		v := a.json(t)
		path, _, _ := strings.Cut(tc.path, "?")
		if v["message"] != tc.message || v["statusCode"] != float64(tc.status) || v["error"] != http.StatusText(tc.status) || v["path"] != path || v["timestamp"] == nil {
			t.Errorf("%s: %s, want %q", fact, a.body, tc.message)
		}
	}
	if h.must(t, 200, "GET", b.api(""), nil).json(t)["name"] != "taken" {
		t.Error("the sandbox changed")
	}
}

func TestKeys(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, object{"name": "named"})
	stranger := client{h.url, "another", ""}
	for _, path := range []string{"/api/sandbox", "/api/sandbox/" + b.id, "/api/api-keys/current"} {
		a := stranger.must(t, 401, "GET", path, nil)
		if a.json(t)["message"] != "Invalid credentials" || a.json(t)["statusCode"] != 401.0 {
			t.Errorf("%s with a wrong key: %s", path, a.body)
		}
	}
	const bad = "unauthorized: authentication failed: Bearer token is invalid"
	for fact, tc := range map[string]struct {
		c    client
		path string
	}{
		"a wrong key":               {stranger, b.toolbox("/version")},
		"an unknown sandbox":        {h.client, "/toolbox/none/version"},
		"a name, where ids are due": {h.client, "/toolbox/named/version"},
		"a path that climbs":        {h.client, "/toolbox/../" + b.id + "/version"},
		"no sandbox":                {h.client, "/toolbox/"},
	} {
		if v := tc.c.must(t, 401, "GET", tc.path, nil).json(t); v["message"] != bad || v["code"] != "UNAUTHORIZED" {
			t.Errorf("%s: %v, want %q", fact, v, bad)
		}
	}
	a := h.request(t, "GET", b.toolbox("/version"), http.Header{"Authorization": nil}, nil)
	if a.status != 401 || !strings.HasPrefix(a.json(t)["message"].(string), "unauthorized: missing authentication: ") {
		t.Errorf("without a key: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/api/health", "/api/config"} {
		if a := h.request(t, "GET", path, http.Header{"Authorization": nil}, nil); a.status != 200 {
			t.Errorf("%s without a key = %d, want 200", path, a.status)
		}
	}
	if v := h.must(t, 200, "GET", "/api/api-keys/current", nil).json(t); strings.Contains(v["value"].(string), testKey) {
		t.Error("the key is told in clear")
	}
	if v := h.must(t, 200, "GET", "/api/health", nil).json(t); v["status"] != "ok" {
		t.Errorf("health = %v", v)
	}
	if v := h.must(t, 200, "GET", "/api/config", nil).json(t); v["proxyToolboxUrl"] != h.url+"/toolbox" || v["defaultSnapshot"] != "sandpiper" {
		t.Errorf("config = %v", v)
	}
}

func TestListPagesAndFilters(t *testing.T) {
	h := open(t, func(o *localdaytonaOptions) { o.Isolation = "none" }) // control plane only
	for _, name := range []string{"c", "a", "b"} {
		h.create(t, object{"name": name, "labels": object{"of": "tests", "name": name}})
	}
	h.create(t, object{"name": "other"})
	names := func(query url.Values) (found []string) {
		for pages := 0; ; pages++ {
			v := h.must(t, 200, "GET", "/api/sandbox?"+query.Encode(), nil).json(t)
			for _, item := range v["items"].([]any) {
				found = append(found, item.(map[string]any)["name"].(string))
			}
			if v["nextCursor"] == nil || pages > 9 {
				return found
			}
			query.Set("cursor", v["nextCursor"].(string))
		}
	}
	for fact, tc := range map[string]struct {
		query url.Values
		want  []string
	}{
		"newest first":         {url.Values{}, []string{"other", "b", "a", "c"}},
		"pages of one":         {url.Values{"limit": {"1"}}, []string{"other", "b", "a", "c"}},
		"by name, two a page":  {url.Values{"limit": {"2"}, "sort": {"name"}, "order": {"asc"}}, []string{"a", "b", "c", "other"}},
		"by label":             {url.Values{"labels": {`{"of":"tests"}`}}, []string{"b", "a", "c"}},
		"by all labels":        {url.Values{"labels": {`{"of":"tests","name":"a"}`}}, []string{"a"}},
		"by a label's absence": {url.Values{"labels": {`{"no":"such"}`}}, nil},
		"by state":             {url.Values{"states": {"stopped", "error"}}, nil},
		"by name's beginning":  {url.Values{"name": {"oth"}}, []string{"other"}},
		"private ones":         {url.Values{"isPublic": {"false"}, "limit": {"2"}}, []string{"other", "b", "a", "c"}},
		"public ones":          {url.Values{"isPublic": {"true"}}, nil},
		"of the only region":   {url.Values{"regionIds": {"mars", "local"}, "name": {"a"}}, []string{"a"}},
		"of another region":    {url.Values{"regionIds": {"mars"}}, nil},
		"of a class":           {url.Values{"sandboxClasses": {"linux-vm"}}, nil},
		"large enough":         {url.Values{"minCpu": {"1"}, "maxCpu": {"1"}, "name": {"b"}}, []string{"b"}},
		"larger than there is": {url.Values{"minDiskGiB": {"100000"}}, nil},
		"made since long ago":  {url.Values{"createdAtAfter": {"2001-01-01T00:00:00Z"}, "name": {"c"}}, []string{"c"}},
		"made long ago":        {url.Values{"createdAtBefore": {"2001-01-01T00:00:00Z"}}, nil},
		"used since long ago":  {url.Values{"lastEventAfter": {"2001-01-01T00:00:00.5Z"}, "name": {"c"}}, []string{"c"}},
		"recoverable ones":     {url.Values{"isRecoverable": {"true"}}, nil},
		"to be destroyed soon": {url.Values{"autoDestroyAtBefore": {"2099-01-01T00:00:00Z"}}, nil},
	} {
		if got := names(tc.query); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", fact, got, tc.want)
		}
	}
	page := h.must(t, 200, "GET", `/api/sandbox/paginated?page=2&limit=3&labels={}`, nil).json(t)
	items := page["items"].([]any)
	if page["total"] != 4.0 || page["page"] != 2.0 || page["totalPages"] != 2.0 || len(items) != 1 || items[0].(object)["name"] != "c" {
		t.Errorf("the second page of three: %v, want c alone, the oldest", page)
	}
	if page := h.must(t, 200, "GET", `/api/sandbox/paginated?page=9&limit=200`, nil).json(t); len(page["items"].([]any)) != 0 {
		t.Errorf("a page behind the last: %v", page)
	}
}
