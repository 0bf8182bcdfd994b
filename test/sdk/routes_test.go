package sdk

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sandpiper/internal/localdaytona"
)

// page says of each route how it is offered.
const page = "../../docs/local-daytona.md"

// controlPlane are the parts of the API's client that the SDKs use.
var controlPlane = []string{
	"config-api.js", "object-storage-api.js", "sandbox-api.js", "secret-api.js", "snapshots-api.js", "volumes-api.js", "warm-pools-api.js",
}

var (
	endpoint = regexp.MustCompile("(?s)localVarPath = `([^`]*)`.*?method: '([A-Z]+)'")
	variable = regexp.MustCompile(`\{[^}]*\}`)
	row      = regexp.MustCompile(`(?m)^\| (.*) \| (faithful|simplified|not offered) \|`)
	quoted   = regexp.MustCompile("`([^`]+)`")
)

// route is a method, "" for any, and a path whose variables have no names.
type route struct{ method, path string }

// sdkRoutes are all routes that the installed clients could call, whether or not an SDK's methods do.
func sdkRoutes(t *testing.T) (all []route) {
	t.Helper()
	err := filepath.WalkDir(modules, func(path string, d fs.DirEntry, err error) error {
		toolbox, api := strings.Contains(path, "/toolbox-api-client/"), strings.Contains(path, "/api-client/")
		name := filepath.Base(path)
		if err != nil || d.IsDir() || strings.Contains(path, "/esm/") || !strings.HasSuffix(name, "-api.js") || !toolbox && !(api && slices.Contains(controlPlane, name)) {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range endpoint.FindAllSubmatch(text, -1) {
			r := route{string(found[2]), variable.ReplaceAllString(string(found[1]), "{}")}
			if !toolbox {
				r.path = "/api" + r.path
			}
			if !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// told are the routes on the page by how they are offered. A path that ends in "…" is a beginning.
func told(t *testing.T) map[string][]route {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]route{}
	for _, r := range row.FindAllSubmatch(text, -1) {
		how := string(r[2])
		for _, name := range quoted.FindAllSubmatch(r[1], -1) {
			method, path, both := strings.Cut(string(name[1]), " ")
			if !both {
				method, path = "", method
			}
			said[how] = append(said[how], route{method, variable.ReplaceAllString(path, "{}")})
		}
	}
	return said
}

func (r route) means(other route) bool {
	begin, open := strings.CutSuffix(r.path, "…")
	return (r.method == "" || r.method == other.method) && (r.path == other.path || open && strings.HasPrefix(other.path, begin))
}

// TestThePageKnowsEveryRouteOfTheSDKs: what an SDK could call is on the page, once, and the server does what it says.
func TestThePageKnowsEveryRouteOfTheSDKs(t *testing.T) {
	routes, said := sdkRoutes(t), told(t)
	if len(routes) < 150 || len(said["faithful"]) < 30 || len(said["not offered"]) < 30 {
		t.Fatalf("%d routes of SDKs, %d faithful, %d not offered: they are written in another way", len(routes), len(said["faithful"]), len(said["not offered"]))
	}
	ask := asker(t)
	for _, r := range routes {
		var how []string
		for _, kind := range []string{"faithful", "simplified", "not offered"} {
			if slices.ContainsFunc(said[kind], func(s route) bool { return s.means(r) }) {
				how = append(how, kind)
			}
		}
		if r.path == "/process/session/entrypoint" {
			how = []string{"faithful"} // it is a session by that name
		}
		if len(how) != 1 {
			t.Errorf("the page says of %s %s: %v", r.method, r.path, how)
			continue
		}
		status, known := ask(r)
		if offered := how[0] != "not offered"; offered && !known || !offered && status != http.StatusNotFound {
			t.Errorf("%s %s is %s, and the server answers %d (a known route: %v)", r.method, r.path, how[0], status, known)
		}
	}
}

// asker calls a route with nothing in it, and says whether the server knows the route: a thing that is not there has
// another 404 than a route.
func asker(t *testing.T) func(route) (status int, known bool) {
	t.Helper()
	server, err := localdaytona.New(localdaytona.Options{Dir: t.TempDir(), Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		web.Close()
		if err := server.StopAll(context.Background()); err != nil {
			t.Error(err)
		}
	})
	call := func(method, path, body string) (int, string) {
		q, err := http.NewRequestWithContext(t.Context(), method, web.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+key)
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(text)
	}
	status, created := call("POST", "/api/sandbox", "{}")
	if status != http.StatusOK {
		t.Fatalf("create: %d %s", status, created)
	}
	id := uuids.FindString(created)
	return func(r route) (int, bool) {
		path := strings.ReplaceAll(r.path, "{}", "none")
		if !strings.HasPrefix(path, "/api/") {
			path = "/toolbox/" + id + path
		}
		status, text := call(r.method, path, "")
		return status, status != http.StatusMethodNotAllowed && !strings.Contains(text, "page not found") && !strings.Contains(text, "Cannot "+r.method)
	}
}
