package sdk

import "slices"

// step is one step of steps/*.cjs: what it must give and what must have gone over the wire, with the section of
// daytona-protocol.md that says so.
type step struct {
	name    string
	section string
	want    any
	calls   []string
	older   *expected // of 0.154, where that differs
}

type expected struct {
	want  any
	calls []string
}

// steps are in the order in which they are done.
var steps = slices.Concat(sandboxes, processes, files, snapshots, lifecycle)

type object = map[string]any

// Shapes of error bodies: of the API (§6.1), of the proxy (§3.2), of the daemon (§3.3), and of a session's exec (§4.2).
const (
	ofAPI    = "{error,message,path,statusCode,timestamp}"
	ofProxy  = "{code,message,method,path,statusCode,timestamp}"
	ofDaemon = "{code,message,method,path,source,statusCode,timestamp}"
	ofExec   = "{message,path,statusCode,timestamp}"
)

// failure is an error that an SDK raises. Message "*" is any: the reference has no text for it, or the body is empty.
type failure struct {
	class   string
	status  int
	code    string // of the body, where the current SDK passes it on
	message string
}

// seenBy is the error as an SDK shows it: the older one knows few classes, and no codes.
func (f failure) seenBy(older bool) any {
	class := f.class
	if older && class != "DaytonaNotFoundError" {
		class = "DaytonaError"
	}
	e := object{"class": class, "message": f.message}
	if f.status != 0 {
		e["statusCode"] = f.status
	}
	if f.code != "" && !older {
		e["code"] = f.code
	}
	return object{"error": e}
}

// Classes by status, in the words of the current SDK.
func badRequest(message string) failure {
	return failure{"DaytonaValidationError", 400, "", message}
}

func notFound(message string) failure { return failure{"DaytonaNotFoundError", 404, "", message} }

func conflict(message string) failure { return failure{"DaytonaConflictError", 409, "", message} }

func (f failure) coded(code string) failure {
	f.code = code
	return f
}

var sandboxes = []step{
	{
		"a wrong key", "6.1",
		failure{"DaytonaAuthenticationError", 401, "", "Invalid credentials"},
		[]string{"GET /api/sandbox/any 401 " + ofAPI},
		nil,
	},
	{
		"create", "2.2",
		object{
			"name": "first", "user": "daytona", "state": "started", "env": object{"GREETING": "hello"}, "public": false,
			"labels":           object{"team": "a b&c", "kind": "test", "code-toolbox-language": "python"},
			"autoStopInterval": 7, "autoArchiveInterval": 60, "autoDeleteInterval": 90, "cpu": 1, "gpu": 0,
		},
		[]string{"POST /api/sandbox 200", "GET /api/sandbox/ID 200"},
		nil,
	},
	{
		"create with defaults", "2.2",
		object{
			"named": true, "state": "started", "labels": object{"code-toolbox-language": "python"},
			"autoStopInterval": 15, "autoArchiveInterval": 10080, "autoDeleteInterval": -1,
		},
		[]string{"POST /api/sandbox 200", "GET /api/sandbox/ID 200"},
		nil,
	},
	{
		"create with a name that is taken", "2.2", conflict("Sandbox with name first already exists"),
		[]string{"POST /api/sandbox 409 " + ofAPI},
		nil,
	},
	{
		"create from an unknown snapshot", "6.1", badRequest("Snapshot nowhere not found. Did you add it through the Daytona Dashboard?"),
		[]string{"POST /api/sandbox 400 " + ofAPI},
		nil,
	},
	{
		"create with an unknown volume", "2.2", notFound("Volume 'attic' not found"),
		[]string{"POST /api/sandbox 404 " + ofAPI},
		nil,
	},
	{
		"create in an unknown region", "2.2", notFound("Region not found"),
		[]string{"POST /api/sandbox 404 " + ofAPI},
		nil,
	},
	{"get by name", "2", object{"same": true}, []string{"GET /api/sandbox/first 200"}, nil},
	{
		"get by id", "2.3",
		object{"name": "first", "state": "started", "env": object{"GREETING": "hello"}},
		[]string{"GET /api/sandbox/ID 200"},
		nil,
	},
	{"get one that is not there", "2.1", notFound("*"), []string{"GET /api/sandbox/nobody 404 " + ofAPI}, nil},
	{
		"list by labels", "2.4",
		[]string{"first"},
		[]string{"GET /api/sandbox 200"},
		&expected{[]string{"first"}, []string{"GET /api/sandbox/paginated 200"}},
	},
	{
		"list with one label that differs", "2.4",
		[]string{},
		[]string{"GET /api/sandbox 200"},
		&expected{[]string{}, []string{"GET /api/sandbox/paginated 200"}},
	},
	{"list all", "2.4", true, []string{"GET /api/sandbox 200"}, &expected{true, []string{"GET /api/sandbox/paginated 200"}}},
	{
		"set labels", "2.1",
		object{"answered": object{"only": "this"}, "kept": object{"only": "this"}},
		[]string{"PUT /api/sandbox/ID/labels 200", "GET /api/sandbox/ID 200"},
		nil,
	},
	{"set auto-stop", "2.1", 9, []string{"POST /api/sandbox/ID/autostop/9 201", "GET /api/sandbox/ID 200"}, nil},
	{"switch auto-stop off", "2.1", 0, []string{"POST /api/sandbox/ID/autostop/0 201", "GET /api/sandbox/ID 200"}, nil},
	{"set auto-archive to its maximum", "2.1", 43200, []string{"POST /api/sandbox/ID/autoarchive/0 201", "GET /api/sandbox/ID 200"}, nil},
	{"set auto-delete", "2.1", 5, []string{"POST /api/sandbox/ID/autodelete/5 201", "GET /api/sandbox/ID 200"}, nil},
	{"switch auto-delete off", "2.1", -1, []string{"POST /api/sandbox/ID/autodelete/-1 201", "GET /api/sandbox/ID 200"}, nil},
	{"say that it is used", "2.1", nil, []string{"POST /api/sandbox/ID/last-activity 201"}, nil},
}

var snapshots = []step{
	{
		"list snapshots", "7",
		object{
			"total": 1, "page": 1, "totalPages": 1,
			"item": object{"name": name, "imageName": name + ":local", "state": "active", "general": true, "errorReason": nil, "source": nil, "size": nil},
		},
		[]string{"GET /api/snapshots 200"},
		&expected{object{
			"total": 1, "page": 1, "totalPages": 1,
			"item": object{"name": name, "imageName": name + ":local", "state": "active", "general": true, "errorReason": nil, "source": nil, "size": nil},
		}, []string{"GET /api/snapshots 200"}},
	},
	{"get a snapshot by name", "7", object{"same": true}, []string{"GET /api/snapshots/" + name + " 200"}, nil},
	{"get a snapshot that is not there", "7", notFound("Snapshot with name nowhere not found"), []string{"GET /api/snapshots/nowhere 404 " + ofAPI}, nil},
	{
		"create a snapshot", "7",
		object{"name": "mine", "imageName": name + ":local", "state": "active", "general": false, "errorReason": nil},
		[]string{"POST /api/snapshots 200", "GET /api/snapshots/mine 200"},
		nil,
	},
	{
		"create a snapshot from a Dockerfile", "7",
		object{
			"state": "active", "dockerfile": "FROM " + name + ":local",
			"told": []string{"Creating snapshot built (pending)", "Creating snapshot built (building)", "Created snapshot built (active)"},
			"log": []string{ // the text is ours
				"building built from what this machine has: no instruction of the Dockerfile is run",
				"step 1/2: folder workspace", "step 2/2: claude --version: built",
			},
		},
		[]string{
			"POST /api/snapshots 200", "GET /api/snapshots/built 200", "GET /api/snapshots/ID/build-logs-url 200",
			"GET /api/snapshots/ID/build-logs 200 & GET /api/snapshots/built 200",
		},
		nil,
	},
	{
		"create a snapshot that is there", "7", conflict(`Snapshot with name "mine" already exists for this organization`),
		[]string{"POST /api/snapshots 409 " + ofAPI},
		nil,
	},
	{
		"create a snapshot of the latest image", "7", badRequest(`Images with tag ":latest" are not allowed`),
		[]string{"POST /api/snapshots 400 " + ofAPI},
		nil,
	},
	{
		"create a snapshot of an image without a tag", "7",
		badRequest("Image name must include a tag (e.g., ubuntu:22.04) or digest (@sha256:...)"),
		[]string{"POST /api/snapshots 400 " + ofAPI},
		nil,
	},
	{ // our own reason; that a failure ends in state error and not in an answer's status is §7's
		"create a snapshot of an image that cannot be had", "7",
		failure{"DaytonaError", 0, "", "Failed to create snapshot. Name: other Reason: the local Daytona has no images but " + name + ":local, and builds none"},
		[]string{"POST /api/snapshots 200", "GET /api/snapshots/other 200"},
		nil,
	},
	{
		"a page of snapshots", "7", object{"total": 4, "page": 2, "totalPages": 2, "names": []bool{true}}, // the general one is last
		[]string{"GET /api/snapshots 200"}, nil,
	},
	{
		"a sandbox from a snapshot", "2.2",
		object{"snapshot": "mine"},
		[]string{"POST /api/sandbox 200", "GET /api/sandbox/ID 200", "DELETE /api/sandbox/ID 200", "GET /api/sandbox/ID 200?", "GET /api/sandbox/ID 404 " + ofAPI},
		nil,
	},
	{"a sandbox from a snapshot that failed", "6.1", badRequest("*"), []string{"POST /api/sandbox 400 " + ofAPI}, nil},
	{"activate an active snapshot", "7", badRequest("Snapshot mine is already active"), []string{"POST /api/snapshots/ID/activate 400 " + ofAPI}, nil},
	{"delete a snapshot", "7", nil, []string{"DELETE /api/snapshots/ID 200"}, nil},
	{"the deleted snapshot", "7", notFound("Snapshot with name mine not found"), []string{"GET /api/snapshots/mine 404 " + ofAPI}, nil},
	{"delete the general snapshot", "7", failure{"DaytonaAuthorizationError", 403, "", "*"}, []string{"DELETE /api/snapshots/ID 403 " + ofAPI}, nil},
}

var lifecycle = []step{
	{
		"stop", "2.5", "stopped",
		[]string{
			"POST /toolbox/ID/process/session 201", "POST /toolbox/ID/files/bulk-upload 200",
			"POST /api/sandbox/ID/stop 200", "GET /api/sandbox/ID 200",
		},
		nil,
	},
	{"stop a stopped one", "2.5", badRequest("Sandbox is not in a stoppable state"), []string{"POST /api/sandbox/ID/stop 400 " + ofAPI}, nil},
	{
		"use a stopped one", "3.2",
		badRequest("bad request: failed to resolve container IP after 3 attempts: no IP address found. Is the Sandbox started?").coded("BAD_REQUEST"),
		[]string{"POST /toolbox/ID/process/execute 400 " + ofProxy},
		nil,
	},
	{"start", "2.5", "started", []string{"POST /api/sandbox/ID/start 200", "GET /api/sandbox/ID 200?"}, nil},
	{"start a started one", "2.1", "started", []string{"POST /api/sandbox/ID/start 200", "GET /api/sandbox/ID 200?"}, nil},
	{
		"what is left after a stop", "2.5",
		object{"file": "kept\n", "sessions": []any{}},
		[]string{"POST /toolbox/ID/files/bulk-download 200", "GET /toolbox/ID/process/session 200"},
		nil,
	},
	{
		"stop an ephemeral one", "2.1",
		object{"autoDeleteInterval": 0, "gone": true},
		[]string{
			"POST /api/sandbox 200", "GET /api/sandbox/ID 200", "POST /api/sandbox/ID/stop 200",
			"GET /api/sandbox/ID 200?", "GET /api/sandbox/ID 404 " + ofAPI,
		},
		nil,
	},
	{"delete", "2.1", nil, []string{"DELETE /api/sandbox/ID 200", "GET /api/sandbox/ID 200?", "GET /api/sandbox/ID 404 " + ofAPI + "?"}, nil},
	{
		"its name is free at once", "2.1",
		object{"other": true, "state": "started"},
		[]string{"POST /api/sandbox 200", "GET /api/sandbox/ID 200"},
		&expected{object{"other": true, "state": "started"}, []string{ // it still looks at what it deleted
			"GET /api/sandbox/ID 200?", "GET /api/sandbox/ID 404 " + ofAPI + "?", "POST /api/sandbox 200",
			"GET /api/sandbox/ID 404 " + ofAPI + "?", "GET /api/sandbox/ID 200",
		}},
	},
	{"it is gone", "2.5", notFound("*"), []string{"GET /api/sandbox/ID 200?", "GET /api/sandbox/ID 404 " + ofAPI}, nil},
	{
		"use one that is gone", "3.2",
		failure{"DaytonaAuthenticationError", 401, "UNAUTHORIZED", "unauthorized: authentication failed: Bearer token is invalid"},
		[]string{
			"DELETE /api/sandbox/ID 200", "GET /api/sandbox/ID 200?", "GET /api/sandbox/ID 404 " + ofAPI,
			"POST /toolbox/ID/process/execute 401 " + ofProxy,
		},
		nil,
	},
}
