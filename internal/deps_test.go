package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// room is a package of ours: what it is, and which of our other packages it may import, each with the reason.
type room struct {
	path string
	is   string
	may  []arrow
}

type arrow struct{ to, because string }

// rooms is the picture of the house, from the roof to the ground. An arrow points to a row further down; a room
// without a row, a row without a room and an arrow that nobody uses fail the test. A new arrow is a decision.
var rooms = []room{
	{"cmd/sandpiper", "everything in one process, and the tools around it", []arrow{
		{"client", "the commands of a terminal talk to any API"},
		{"internal/auth", "makes keys"},
		{"internal/boot", "opens and closes the house"},
		{"internal/cli", "what people see: jobs, through the API like any other, and checks"},
		{"internal/cli/checkup", "doctor, and the guide's test layers"},
		{"internal/config", "reads the environment"},
		{"internal/daytona", "what a platform says of snapshots"},
		{"internal/httpapi", "checks the lines of a batch as the API would, before they are sent"},
		{"internal/snapshots", "what an operator does with snapshots"},
		{"internal/store", "changes the schema, and nothing else"},
		{"internal/telemetry", "makes the one logger"},
		{"snapshot", "tells the version of the pinned claude"},
	}},
	{"cmd/api", "the HTTP side alone", []arrow{
		{"internal/boot", "opens and closes the house"},
		{"internal/config", "reads the environment"},
		{"internal/telemetry", "makes the one logger"},
	}},
	{"cmd/worker", "the running side alone", []arrow{
		{"internal/boot", "opens and closes the house"},
		{"internal/config", "reads the environment"},
		{"internal/telemetry", "makes the one logger"},
	}},
	{"test/e2e", "the whole house, tried from outside; nothing but tests", nil},
	{"test/chaos", "a fleet that is broken on purpose; nothing but tests, and a page about them", nil},
	{"test/chaos/standin", "stands in for the command in a sandbox, and records its launches", nil},
	{"test/daemon", "a sandbox's daemon and nothing else, for tests with many sandboxes", []arrow{
		{"internal/localdaytona", "whose daemon it is"},
	}},
	{"test/compose", "docker-compose.yml, started for real; nothing but tests", nil},
	{"test/sdk", "the official SDKs drive the local Daytona; nothing but tests", nil},
	{"internal/cli", "what people see on a terminal", []arrow{
		{"client", "it knows what the API says and nothing else"},
	}},
	{"internal/cli/checkup", "what works at a deployment, looked at from outside", []arrow{
		{"client", "the layers that go through an API"},
		{"internal/boot", "brings up a house, or the offline model, where none is named"},
		{"internal/claude", "preflight, and the environment of the command"},
		{"internal/config", "what is configured"},
		{"internal/daytona", "the platform that is looked at"},
		{"internal/job", "a name for its sandbox"},
		{"internal/localdaytona", "the platform where none is configured"},
		{"internal/queue", "whether Redis answers as soon as the queue needs it"},
		{"snapshot", "the pinned command, and what a local sandbox is made of"},
	}},
	{"client", "the API's messages as they go over the wire; for programs that share no code with the server", nil},
	{"internal/boot", "opens, runs and closes everything; the one place that knows all rooms", []arrow{
		{"internal/auth", "asks in the operator's name"},
		{"internal/bus", "opens it"},
		{"internal/claude", "the host that preflight looks up"},
		{"internal/config", "what to open"},
		{"internal/daytona", "opens it"},
		{"internal/dispatch", "opens it"},
		{"internal/httpapi", "opens it"},
		{"internal/job", "passes its words along"},
		{"internal/localdaytona", "opens it"},
		{"internal/offline", "opens it"},
		{"internal/pool", "opens it"},
		{"internal/queue", "opens it"},
		{"internal/queue/monitor", "opens it"},
		{"internal/queue/redisurl", "one Redis for queue and bus"},
		{"internal/relay", "opens it"},
		{"internal/snapshots", "mirrors the current snapshot"},
		{"internal/store", "opens it"},
		{"internal/telemetry", "opens it"},
		{"internal/worker", "opens it"},
		{"snapshot", "which claude to install, and its policy"},
	}},
	{"internal/httpapi", "routes, problem documents, sockets", []arrow{
		{"internal/auth", "who asks"},
		{"internal/job", "the words, and the errors that become problems"},
		{"internal/relay", "streams"},
		{"internal/store", "the shapes of what it asks for: a filter, a key, a scope"},
		{"snapshot", "which tools a caller may name"},
	}},
	{"internal/relay", "each event once and in order to those who watch", []arrow{
		{"internal/auth", "who watches"},
		{"internal/job", "events and news"},
		{"internal/store", "the scope of a stream"},
	}},
	{"internal/worker", "one attempt from claim to finish; with dispatch the only writer of job rows", []arrow{
		{"internal/claude", "the command, and what its output means"},
		{"internal/daytona", "which errors mean that a sandbox is gone"},
		{"internal/job", "the words"},
		{"internal/pool", "sandboxes"},
		{"internal/run", "launch, follow, stop"},
		{"internal/store", "claims and fenced writes"},
		{"internal/telemetry", "counts what happens"},
	}},
	{"internal/dispatch", "takes jobs in and keeps hints flowing; with worker the only writer of job rows", []arrow{
		{"internal/auth", "who submits"},
		{"internal/job", "the words"},
		{"internal/store", "the shapes of what it writes"},
		{"internal/telemetry", "says once that turns fail"},
		{"internal/turn", "one of its kind at a time, in a fleet"},
	}},
	{"internal/snapshots", "the snapshots of a deployment: build, list, prune", []arrow{
		{"internal/daytona", "the platform that has them"},
		{"snapshot", "what this program's own are built from"},
	}},
	{"internal/pool", "sandboxes: acquire, create, delete", []arrow{
		{"internal/daytona", "the platform that has them"},
		{"internal/job", "the words"},
		{"internal/telemetry", "says once that turns fail"},
		{"internal/turn", "one of its kind at a time, in a fleet"},
	}},
	{"internal/turn", "what one process of a fleet does for all", []arrow{
		{"internal/telemetry", "says once that turns fail"},
	}},
	{"internal/run", "the run directory of one launch, in a sandbox", []arrow{
		{"internal/daytona", "the files and answers of a sandbox"},
		{"internal/job", "phases of a run"},
	}},
	{"internal/telemetry", "logs and metrics", []arrow{
		{"internal/job", "states, codes and outcomes to count"},
	}},
	{"internal/claude", "the command line and its output, as pure functions over bytes", []arrow{
		{"internal/job", "codes, results, usage"},
	}},
	{"internal/store/storetest", "one suite of promises for every engine", []arrow{
		{"internal/auth", "asks in somebody's name"},
		{"internal/job", "the words"},
		{"internal/store", "what it tries"},
	}},
	{"internal/store", "the truth: SQL, and the fences around it", []arrow{
		{"internal/auth", "a caller is an argument of every read"},
		{"internal/job", "what it stores"},
		{"migrations", "the schema"},
	}},
	{"migrations", "the schema, embedded", nil},
	{"internal/queue", "hints over asynq", []arrow{
		{"internal/job", "a hint"},
		{"internal/queue/redisurl", "how to reach Redis"},
	}},
	{"internal/bus", "news over Redis", []arrow{
		{"internal/job", "news"},
	}},
	{"internal/config", "the environment, read once", []arrow{
		{"internal/auth", "what a key's entry looks like"},
		{"internal/queue/redisurl", "a wrong REDIS_URL is named with every other fault"},
	}},
	{"internal/queue/monitor", "asynq's web page, to look at; apart from the queue, which needs none", []arrow{
		{"internal/queue/redisurl", "how to reach Redis"},
	}},
	{"internal/queue/bare", "asynq alone, as a measure for what stands on it; for benchmarks", nil},
	{"internal/queue/redisurl", "the forms of REDIS_URL", nil},
	{"scripts/servers", "says where the tests have Postgres and Redis from", []arrow{
		{"internal/containertest", "decides it"},
	}},
	{"internal/redistest", "real Redis servers for tests", []arrow{
		{"internal/containertest", "a process or a container"},
		{"internal/mortal", "no server outlives its tests"},
	}},
	{"internal/pgtest", "real Postgres servers for tests", []arrow{
		{"internal/containertest", "a process or a container"},
	}},
	{"internal/containertest", "servers of tests in containers, where a machine has them", nil},
	{"internal/mortal", "processes of tests that do not outlive them", nil},
	{"internal/localdaytona", "a Daytona on this machine", []arrow{
		{"internal/localdaytona/daemon", "what runs inside its sandboxes"},
	}},
	{"internal/localdaytona/daemon", "sessions, commands and files of one sandbox", nil},
	{"internal/daytona", "client of the Daytona REST API", nil},
	{"internal/offline", "the stand-in model", []arrow{
		{"internal/offline/messages", "the wire form of the Messages API"},
	}},
	{"internal/offline/scripted", "a model that does as a test says", []arrow{
		{"internal/offline/messages", "the wire form of the Messages API"},
	}},
	{"internal/offline/realcli", "finds the real command for tests", nil},
	{"internal/offline/messages", "the wire form of the Messages API", nil},
	{"internal/auth", "who asks", nil},
	{"internal/job", "the words of the domain", nil},
	{"scripts/claude", "installs the pinned claude before the tests, without building the house", []arrow{
		{"snapshot", "which claude, and how"},
	}},
	{"snapshot", "what a sandbox is made of, and the command in it", nil},
	{"scripts/testsum", "the summary of make test", nil},
}

type foreign struct {
	path, because string
	in            []string
}

// modules are the outside modules that production code may import, where and why. Standard library is free, but
// see pure.
var modules = []foreign{
	{"github.com/hibiken/asynq", "a task is a hint; no other room may believe it", []string{"internal/queue", "internal/queue/bare"}},
	{"github.com/hibiken/asynqmon", "the web page that asynq's operators know", []string{"internal/queue/monitor"}},
	{"github.com/alicebob/miniredis/v2", "the Redis of a machine without one", []string{"internal/queue"}},
	{"github.com/redis/go-redis/v9", "hints and news; nothing that must not be lost", []string{"internal/queue", "internal/queue/monitor", "internal/queue/redisurl", "internal/bus", "internal/redistest"}},
	{"modernc.org/sqlite", "the truth has one door, and the door has fences", []string{"internal/store"}},
	{"github.com/jackc/pgx/v5", "the truth has one door, and the door has fences", []string{"internal/store", "internal/pgtest"}},
	{"github.com/pressly/goose/v3", "the schema moves in numbered steps", []string{"internal/store"}},
	{"github.com/testcontainers/testcontainers-go", "no program of ours needs an engine", []string{"internal/containertest"}},
	{"github.com/moby/moby/client", "no program of ours needs an engine", []string{"internal/containertest"}},
	{"github.com/moby/moby/api", "no program of ours needs an engine", []string{"internal/containertest"}},
	{"github.com/labstack/echo/v4", "no other room knows HTTP requests", []string{"internal/httpapi"}},
	{"github.com/coder/websocket", "both ends of our socket, and the platform's for logs", []string{"internal/httpapi", "client", "internal/localdaytona/daemon"}},
	{"github.com/golang-jwt/jwt/v5", "one room knows what a token is", []string{"internal/auth"}},
	{"github.com/caarlos0/env/v11", "one room reads the environment", []string{"internal/config"}},
	{"github.com/spf13/cobra", "commands and flags", []string{"cmd/sandpiper"}},
	{"github.com/prometheus/client_golang", "one room counts", []string{"internal/telemetry"}},
	{"github.com/gofrs/flock", "one process for a file or a directory", []string{"internal/store", "internal/boot", "snapshot"}},
	{"github.com/google/uuid", "where others expect that form of id: the CLI, the platform", []string{"internal/worker", "internal/store", "internal/localdaytona", "internal/localdaytona/daemon"}},
	{"pgregory.net/rapid", "the suite draws its histories", []string{"internal/store/storetest"}},
	{"golang.org/x/term", "is this a terminal", []string{"internal/telemetry", "internal/cli"}},
	{"golang.org/x/sync", "several at once, first error wins", []string{"internal/pool", "internal/boot", "internal/store/storetest"}},
	{"golang.org/x/sys", "what Linux has and the syscall package lacks", []string{"internal/config", "internal/localdaytona", "internal/localdaytona/daemon"}},
}

// pure rooms do no I/O of any kind: their tests need nothing but bytes. (net is not in the list: it also parses
// addresses.)
var pure = []string{"internal/job", "internal/auth", "internal/claude"}

var inputOutput = []string{"net/http", "os", "os/exec", "database/sql", "syscall", "log", "log/slog"}

// strangers never reach each other, not even through others: each stands for another outside thing, and must be
// replaceable without a look at the rest.
var strangers = []string{"internal/queue", "internal/bus", "internal/daytona", "internal/store"}

const module = "sandpiper/"

// listed is a package as the go command lists it.
type listed struct {
	ImportPath                                  string
	GoFiles, Imports, TestImports, XTestImports []string
}

func TestEveryRoomIsOnThePicture(t *testing.T) {
	drawn := map[string]bool{}
	for i, r := range rooms {
		if drawn[r.path] {
			t.Errorf("%s has two rows", r.path)
		}
		drawn[r.path] = true
		for _, a := range r.may {
			if !slices.ContainsFunc(rooms[i+1:], func(below room) bool { return below.path == a.to }) {
				t.Errorf("%s → %s does not point downwards", r.path, a.to)
			}
			if a.because == "" {
				t.Errorf("%s → %s has no reason", r.path, a.to)
			}
		}
	}
	built := packages(t)
	for path := range built {
		if !drawn[path] {
			t.Errorf("%s has no row: say what it is and what it may import", path)
		}
	}
	for path := range drawn {
		if _, ok := built[path]; !ok {
			t.Errorf("%s has a row and does not exist", path)
		}
	}
}

func TestRoomsImportWhatTheyMay(t *testing.T) {
	built := packages(t)
	for _, r := range rooms {
		for _, to := range built[r.path].ours() {
			if !slices.ContainsFunc(r.may, func(a arrow) bool { return a.to == to }) {
				t.Errorf("%s imports %s: not on the picture", r.path, to)
			}
		}
		for _, a := range r.may {
			if !slices.Contains(built[r.path].ours(), a.to) {
				t.Errorf("%s may import %s and does not: take the arrow away", r.path, a.to)
			}
		}
	}
}

func TestOutsideModulesHaveTheirRooms(t *testing.T) {
	built := packages(t)
	used := map[string]map[string]bool{} // module → rooms that import it
	for path, p := range built {
		for _, imported := range p.outside() {
			i := slices.IndexFunc(modules, func(m foreign) bool { return within(imported, m.path) })
			if i < 0 {
				t.Errorf("%s imports %s: say where it is allowed, and why", path, imported)
				continue
			}
			m := modules[i]
			if !slices.Contains(m.in, path) {
				t.Errorf("%s imports %s, which belongs to %v: %s", path, imported, m.in, m.because)
			}
			if used[m.path] == nil {
				used[m.path] = map[string]bool{}
			}
			used[m.path][path] = true
		}
	}
	for _, m := range modules {
		for _, path := range m.in {
			if !used[m.path][path] {
				t.Errorf("%s may import %s and does not: take it away", path, m.path)
			}
		}
	}
}

// Test files import what they like, with one exception: a test that speaks asynq would prove the queue's promises
// to itself.
func TestNoTestSpeaksAsynqButTheQueues(t *testing.T) {
	for path, p := range packages(t) {
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if within(imported, "github.com/hibiken/asynq") && path != "internal/queue" {
				t.Errorf("a test of %s imports %s", path, imported)
			}
		}
	}
}

func TestPureRoomsDoNoInputOrOutput(t *testing.T) {
	built := packages(t)
	for _, path := range pure {
		for _, imported := range built[path].Imports {
			if slices.Contains(inputOutput, imported) {
				t.Errorf("%s imports %s", path, imported)
			}
		}
	}
}

func TestStrangersStayStrangers(t *testing.T) {
	built := packages(t)
	for _, from := range strangers {
		for _, to := range strangers {
			if from != to && reaches(built, from, to) {
				t.Errorf("%s reaches %s", from, to)
			}
		}
	}
}

func reaches(built map[string]listed, from, to string) bool {
	return slices.ContainsFunc(built[from].ours(), func(next string) bool {
		return next == to || reaches(built, next, to) // imports have no cycles, so this ends
	})
}

// packages lists every package of the module by its path in it, from the module cache alone.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-mod=readonly", "-tags", "containers", "-json=ImportPath,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	found := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(p.ImportPath, module)
		if len(p.GoFiles) > 0 { // a folder with nothing but tests, such as this one, is not a room
			found[path] = p
		}
	}
	if len(found) == 0 {
		t.Fatal("go list found no package")
	}
	return found
}

// ours are the rooms that p imports.
func (p listed) ours() []string {
	found := map[string]bool{}
	for _, imported := range p.Imports {
		if path, ok := strings.CutPrefix(imported, module); ok {
			found[path] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// outside are the packages that p imports and that are neither ours nor the standard library's.
func (p listed) outside() []string {
	var found []string
	for _, imported := range p.Imports {
		first, _, _ := strings.Cut(imported, "/")
		if strings.Contains(first, ".") && imported != "C" {
			found = append(found, imported)
		}
	}
	return found
}

// within reports whether a package belongs to a module.
func within(pkg, mod string) bool { return pkg == mod || strings.HasPrefix(pkg, mod+"/") }
