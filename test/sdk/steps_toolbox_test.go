package sdk

// session is the path of sessions in a toolbox.
const session = "/toolbox/ID/process/session"

var processes = []step{
	{
		"directories", "4.6",
		object{"absolute": true, "below": true},
		[]string{"GET /toolbox/ID/user-home-dir 200", "GET /toolbox/ID/work-dir 200"},
		nil,
	},
	{
		"execute", "4.5",
		object{"exitCode": 3, "result": "hello you\n/\nwrong\n"},
		[]string{"POST /toolbox/ID/process/execute 200"},
		nil,
	},
	{"execute in a folder that is not there", "4.5", object{"exitCode": -1}, []string{"POST /toolbox/ID/process/execute 200"}, nil},
	{
		"execute beyond its time", "4.5",
		failure{"DaytonaTimeoutError", 408, "REQUEST_TIMEOUT", "request timeout: command execution timeout"},
		[]string{"POST /toolbox/ID/process/execute 408 " + ofDaemon},
		nil,
	},
	{"execute within its time", "4.5", object{"exitCode": 0, "result": "quick\n"}, []string{"POST /toolbox/ID/process/execute 200"}, nil},
	{ // the older SDK wraps the text in a command of its own, here and in the next
		"execute nothing", "4.5", badRequest("*").coded("BAD_REQUEST"),
		[]string{"POST /toolbox/ID/process/execute 400 " + ofDaemon},
		&expected{true, nil},
	},
	{
		"execute with a name that is none", "4.5",
		badRequest("bad request: invalid environment variable name: 'A-B'").coded("BAD_REQUEST"),
		[]string{"POST /toolbox/ID/process/execute 400 " + ofDaemon},
		&expected{true, nil},
	},

	{"create a session", "4.2", nil, []string{"POST " + session + " 201"}, nil},
	{"create it again", "4.2", conflict("conflict: session already exists").coded("CONFLICT"), []string{"POST " + session + " 409 " + ofDaemon}, nil},
	{"create the reserved one", "4.2", badRequest("*").coded("BAD_REQUEST"), []string{"POST " + session + " 400 " + ofDaemon}, nil},
	{"get a session", "4.2", object{"sessionId": "s", "commands": []any{}}, []string{"GET " + session + "/s 200"}, nil},
	{"get a session that is not there", "4.2", notFound("not found: session not found").coded("NOT_FOUND"), []string{"GET " + session + "/nobody 404 " + ofDaemon}, nil},
	{"list sessions", "4.2", []any{object{"sessionId": "s", "commands": []any{}}}, []string{"GET " + session + " 200"}, nil},
	{"the entrypoint session", "4.2", object{"sessionId": "entrypoint", "id": "entrypoint_command"}, []string{"GET " + session + "/entrypoint 200"}, nil},
	{"the entrypoint log", "4.2", "object", []string{"GET " + session + "/entrypoint/logs 200"}, nil},

	{ // a missing last newline is added (§4.3)
		"run in a session", "4.3",
		object{"exitCode": 3, "stdout": "out\nno newline\n", "stderr": "err\n"},
		[]string{"POST " + session + "/s/exec 200"},
		nil,
	},
	{
		"leave something in the session", "4.3",
		object{"exitCode": 0, "stdout": "", "stderr": ""},
		[]string{"POST " + session + "/s/exec 200"},
		&expected{object{"exitCode": 0, "stdout": nil, "stderr": nil}, []string{"POST " + session + "/s/exec 200"}},
	},
	{
		"find it again", "4.3",
		object{"exitCode": 0, "stdout": "/\nbehind\nf x\n", "stderr": ""},
		[]string{"POST " + session + "/s/exec 200"},
		nil,
	},
	{"an unknown command", "4.3", 127, []string{"POST " + session + "/s/exec 200"}, nil},
	{
		"run in a session that is not there", "4.2",
		failure{"DaytonaInternalServerError", 500, "", "failed to execute command: not found: session not found"},
		[]string{"POST " + session + "/nobody/exec 500 " + ofExec},
		nil,
	},
	{"run nothing", "4.2", badRequest("*"), []string{"POST " + session + "/s/exec 400 empty"}, nil},

	{"start a command", "4.2", object{"id": "string", "ended": nil}, []string{"POST " + session + "/s/exec 202"}, nil},
	{
		"look at it while it runs", "4.2",
		object{"same": true, "ended": false, "command": `read line; echo "got $line"; echo fin >&2`},
		[]string{"GET " + session + "/s/command/ID 200"},
		nil,
	},
	{ // input is echoed as stdout (§4.3)
		"follow it over a WebSocket and write to it", "4.4",
		object{"stdout": "a line\ngot a line\n", "stderr": "fin\n"},
		[]string{"GET " + session + "/s/command/ID/logs 101 & POST " + session + "/s/command/ID/input 204"},
		nil,
	},
	{"its exit code", "4.4", 0, []string{"GET " + session + "/s/command/ID 200"}, nil},
	{ // §4.1 has the markers
		"its whole log", "4.1",
		object{
			"output": []string{"", "\x01\x01\x01a line", "\x01\x01\x01got a line", "\x02\x02\x02fin"},
			"stdout": "a line\ngot a line\n", "stderr": "fin\n",
		},
		[]string{"GET " + session + "/s/command/ID/logs 200"},
		nil,
	},
	{
		"follow it once more, from the beginning", "4.4",
		object{"stdout": "a line\ngot a line\n", "stderr": "fin\n"},
		[]string{"GET " + session + "/s/command/ID/logs 101"},
		nil,
	},
	{
		"write to a command that has ended", "4.2",
		failure{"DaytonaGoneError", 410, "GONE", "gone: command has already completed with exit code 0"},
		[]string{"POST " + session + "/s/command/ID/input 410 " + ofDaemon},
		nil,
	},
	{
		"a command that is not there", "4.2", notFound("not found: command not found").coded("NOT_FOUND"),
		[]string{"GET " + session + "/s/command/nothing 404 " + ofDaemon},
		nil,
	},
	{
		"the log of a command that is not there", "4.2", notFound("not found: command not found").coded("NOT_FOUND"),
		[]string{"GET " + session + "/s/command/nothing/logs 404 " + ofDaemon},
		nil,
	},
	{ // a NUL is dropped, a bad byte becomes U+FFFD in JSON
		"bytes that are no UTF-8", "4.3",
		object{"exitCode": 0, "stdout": "a\uFFFDb\n", "stderr": ""},
		[]string{"POST " + session + "/s/exec 200"},
		nil,
	},
	{"a long command", "4.3", "1048576", []string{"POST " + session + "/s/exec 200"}, nil},

	{"delete a session", "4.2", nil, []string{"DELETE " + session + "/s 204"}, nil},
	{"the deleted session", "4.3", notFound("not found: session not found").coded("NOT_FOUND"), []string{"GET " + session + "/s 404 " + ofDaemon}, nil},
	{"delete it again", "4.2", notFound("not found: session not found").coded("NOT_FOUND"), []string{"DELETE " + session + "/s 404 " + ofDaemon}, nil},
	{ // the platform hangs here; §8 has the better way
		"end the shell of a session", "8",
		object{"exitCode": 4},
		[]string{"POST " + session + " 201", "POST " + session + "/ending/exec 200"},
		nil,
	},
	{
		"run in a session whose shell has ended", "8",
		failure{"DaytonaSessionEndedError", 410, "SESSION_ENDED", "*"},
		[]string{"POST " + session + "/ending/exec 410 " + ofDaemon},
		nil,
	},
}

// Files: most refusals have an empty body (§3.3).
var files = []step{
	{"make a folder", "5", "", []string{"POST /toolbox/ID/files/folder 201"}, nil},
	{"make it again", "5", "", []string{"POST /toolbox/ID/files/folder 201"}, nil},
	{"upload", "5", nil, []string{"POST /toolbox/ID/files/bulk-upload 200"}, nil},
	{"upload into folders that are not there", "5", nil, []string{"POST /toolbox/ID/files/bulk-upload 200"}, nil},
	{"upload several, one of them empty", "5", nil, []string{"POST /toolbox/ID/files/bulk-upload 200"}, nil},
	{"upload a large one", "5", nil, []string{"POST /toolbox/ID/files/bulk-upload 200"}, nil},
	{"download", "5", 0, []string{"POST /toolbox/ID/files/bulk-download 200"}, nil},
	{"download an empty one", "5", 0, []string{"POST /toolbox/ID/files/bulk-download 200"}, nil},
	{"download a large one", "5", true, []string{"POST /toolbox/ID/files/bulk-download 200"}, nil},
	{"what a command sees", "5", "é\ndeep\n", []string{"POST /toolbox/ID/process/execute 200"}, nil},
	{
		"download several, one of them missing", "5",
		[]any{
			object{"source": "papers/a/b/deep.txt", "text": "deep\n", "failed": false},
			object{"source": "papers/none", "text": nil, "failed": true},
		},
		[]string{"POST /toolbox/ID/files/bulk-download 200"},
		nil,
	},
	{
		"download one that is missing", "5",
		failure{"DaytonaFileNotFoundError", 404, "FILE_NOT_FOUND", "*"},
		[]string{"POST /toolbox/ID/files/bulk-download 200"},
		&expected{
			object{"error": object{"class": "DaytonaError", "message": "*"}}, []string{"POST /toolbox/ID/files/bulk-download 200"},
		},
	},
	{
		"download a folder", "5",
		failure{"DaytonaInvalidFilePathError", 400, "INVALID_FILE_PATH", "*"},
		[]string{"POST /toolbox/ID/files/bulk-download 200"},
		&expected{
			object{"error": object{"class": "DaytonaError", "message": "*"}}, []string{"POST /toolbox/ID/files/bulk-download 200"},
		},
	},
	{"list", "5", []string{"a", "big", "empty", "every", "old", "été & co"}, []string{"GET /toolbox/ID/files 200"}, nil},
	{
		"what a list says of a file", "5",
		object{"dated": true, "name": "every", "size": 256, "mode": "-rw-r--r--", "isDir": false, "permissions": "0644"},
		[]string{"GET /toolbox/ID/files 200"},
		nil,
	},
	{"list two levels", "5", []string{"a/b", "a/b/deep.txt"}, []string{"GET /toolbox/ID/files 200"}, &expected{true, nil}},
	{"list a folder that is not there", "5", notFound("*"), []string{"GET /toolbox/ID/files 404 empty"}, nil},
	{"list a file", "5", badRequest("*"), []string{"GET /toolbox/ID/files 400 empty"}, nil},
	{
		"a folder in detail", "5",
		object{"name": "old", "mode": "drwx------", "isDir": true, "permissions": "0700"},
		[]string{"GET /toolbox/ID/files/info 200"},
		nil,
	},
	{"one that is missing in detail", "5", notFound("*"), []string{"GET /toolbox/ID/files/info 404 empty"}, nil},
	{"move", "5", []string{"empty"}, []string{"POST /toolbox/ID/files/move 200", "GET /toolbox/ID/files 200"}, nil},
	{"move one that is missing", "5", notFound("*"), []string{"POST /toolbox/ID/files/move 404 empty"}, nil},
	{"delete a file", "5", "", []string{"DELETE /toolbox/ID/files 204"}, nil},
	{"delete it again", "5", notFound("*"), []string{"DELETE /toolbox/ID/files 404 empty"}, nil},
	{"delete a folder as if it were a file", "5", badRequest("*"), []string{"DELETE /toolbox/ID/files 400 empty"}, nil},
	{
		"delete a folder", "5",
		[]string{"a", "big", "été & co"},
		[]string{"DELETE /toolbox/ID/files 204", "GET /toolbox/ID/files 200"},
		nil,
	},
	{ // an unknown route is a plain page (§3.3)
		"a call that is not offered", "3.3", notFound("*"),
		[]string{"POST /toolbox/ID/files/permissions 404 404 page not found"},
		nil,
	},
}
