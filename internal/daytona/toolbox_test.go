package daytona_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/daytona"
)

func TestExec(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want daytona.Exec
		bad  bool
	}{
		"apart": {
			`{"cmdId":"c","output":"\u0001\u0001\u0001a\n\u0002\u0002\u0002b\n","stdout":"a\n","stderr":"b\n","exitCode":7}`,
			daytona.Exec{CmdID: "c", Stdout: "a\n", Stderr: "b\n", ExitCode: 7},
			false,
		},
		"mixed, with markers": {
			`{"cmdId":"c","output":"lost\u0001\u0001\u0001a\n\u0002\u0002\u0002b\n\u0001\u0001\u0001c\u0001\u0001","stdout":null,"stderr":null,"exitCode":0}`,
			daytona.Exec{CmdID: "c", Stdout: "a\nc\x01\x01", Stderr: "b\n"},
			false,
		},
		"mixed, without markers": {
			`{"cmdId":"c","output":"a\nb\n","stdout":null,"stderr":null,"exitCode":0}`, daytona.Exec{CmdID: "c", Stdout: "a\nb\n"}, false,
		},
		"nothing":      {`{"cmdId":"c","output":null,"stdout":"","stderr":"","exitCode":137}`, daytona.Exec{CmdID: "c", ExitCode: 137}, false},
		"no exit code": {`{"cmdId":"c","output":null,"stdout":null,"stderr":null,"exitCode":null}`, daytona.Exec{CmdID: "c"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, ok(tc.body))
			got, err := p.toolbox().Exec(t.Context(), "s %1", "echo a")
			if got != tc.want || (err != nil) != tc.bad {
				t.Errorf("Exec = %+v, %v", got, err)
			}
			if r := p.last(); r.line != "POST /toolbox/id1/process/session/s%20%251/exec" || r.body != `{"command":"echo a","runAsync":false}` {
				t.Errorf("asked %s %s", r.line, r.body)
			}
		})
	}
}

func TestSessions(t *testing.T) {
	code := 3
	p := newPlatform(t,
		answer{status: 201}, ok(`{"sessionId":"s","commands":[{"id":"c","command":"x"},{"id":"d","command":"y","exitCode":3}]}`),
		answer{status: 202, body: `{"cmdId":"e","output":null,"stdout":null,"stderr":null,"exitCode":null}`},
		ok(`{"id":"e","command":"x","exitCode":3}`), ok(`{"output":"x","stdout":"o","stderr":"e"}`), answer{status: 204})
	b := p.toolbox()
	err := b.CreateSession(t.Context(), "s")
	s, err2 := b.Session(t.Context(), "s")
	id, err3 := b.ExecAsync(t.Context(), "s", "x")
	c, err4 := b.Command(t.Context(), "s", "e")
	out, errs, err5 := b.Logs(t.Context(), "s", "e")
	if err := errors.Join(err, err2, err3, err4, err5, b.DeleteSession(t.Context(), "s")); err != nil {
		t.Fatal(err)
	}
	if len(s.Commands) != 2 || s.Commands[0].ExitCode != nil || *s.Commands[1].ExitCode != code || id != "e" || *c.ExitCode != code || out+errs != "oe" {
		t.Errorf("%+v, %s, %+v, %s, %s", s, id, c, out, errs)
	}
	want := []string{
		"POST /toolbox/id1/process/session", "GET /toolbox/id1/process/session/s", "POST /toolbox/id1/process/session/s/exec",
		"GET /toolbox/id1/process/session/s/command/e", "GET /toolbox/id1/process/session/s/command/e/logs",
		"DELETE /toolbox/id1/process/session/s",
	}
	if got := p.lines(); !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
}

func TestRenewSession(t *testing.T) {
	for name, tc := range map[string]struct {
		script []answer
		ok     bool
	}{
		"one whose shell has ended": {[]answer{{status: 204}, {status: 201}}, true},
		"one that is not there":     {[]answer{refusal(404, "not found: session not found"), {status: 201}}, true},
		"another was faster":        {[]answer{{status: 204}, refusal(409, "conflict: session already exists")}, true},
		"no daemon":                 {[]answer{refusal(400, "x")}, false},
		"refused":                   {[]answer{{status: 204}, refusal(400, "x")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := newPlatform(t, tc.script...).toolbox().RenewSession(t.Context(), "s"); (err == nil) != tc.ok {
				t.Errorf("RenewSession: %v", err)
			}
		})
	}
}

func TestExecute(t *testing.T) {
	p := newPlatform(t, ok(`{"exitCode":-1,"result":"a\nb"}`), ok(`{"exitCode":0,"result":""}`))
	got, err := p.toolbox().Execute(t.Context(), daytona.Execute{
		Command: "echo", Cwd: "/tmp", Env: map[string]string{"A": "b"}, Timeout: 1500 * time.Millisecond,
	})
	if err != nil || got != (daytona.Executed{ExitCode: -1, Output: "a\nb"}) {
		t.Errorf("Execute = %+v, %v", got, err)
	}
	if got, want := p.last().body, `{"command":"echo","cwd":"/tmp","envs":{"A":"b"},"timeout":2}`; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	if _, err := p.toolbox().Execute(t.Context(), daytona.Execute{Command: "x"}); err != nil || p.last().body != `{"command":"x"}` {
		t.Errorf("sent %s, %v", p.last().body, err)
	}
}

// TestExecuteWithASharedBeginning: it is sent as if it were part of the command.
func TestExecuteWithASharedBeginning(t *testing.T) {
	p := newPlatform(t, ok(`{"exitCode":0,"result":""}`))
	e := daytona.Execute{Before: daytona.NewText("echo 'ü <&> \"' \\ "), Command: `"x"`, Timeout: time.Second}
	if _, err := p.toolbox().Execute(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	var sent struct {
		Command string
		Timeout int
	}
	if err := json.Unmarshal([]byte(p.last().body), &sent); err != nil || sent.Command != e.Whole() || sent.Timeout != 1 {
		t.Errorf("sent %s (%v), want %q", p.last().body, err, e.Whole())
	}
	if p.last().length != int64(len(p.last().body)) {
		t.Errorf("announced %d bytes of %d", p.last().length, len(p.last().body))
	}
}

func TestUpload(t *testing.T) {
	files := []daytona.File{{Path: "/a b/ü", Content: []byte("x\x00\r\n--y")}, {Path: "/empty"}}
	p := newPlatform(t,
		ok(`{"files":[{"path":"/a b/ü","bytes":7},{"path":"/empty","bytes":0}]}`), ok(``), ok(`{"files":[{"path":"/a b/ü","bytes":3}]}`),
		answer{status: 400, body: `{"errors":["file[0]: missing .path metadata"],"files":null}`})
	if err := p.toolbox().Upload(t.Context(), files...); err != nil {
		t.Fatal(err)
	}
	r := p.last()
	_, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for parts := multipart.NewReader(strings.NewReader(r.body), params["boundary"]); ; {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		raw, err2 := io.ReadAll(part)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		got = append(got, part.FormName()+"="+string(raw))
	}
	want := []string{"files[0].path=/a b/ü", "files[0].file=x\x00\r\n--y", "files[1].path=/empty", "files[1].file="}
	if r.line != "POST /toolbox/id1/files/bulk-upload" || !slices.Equal(got, want) {
		t.Errorf("%s %q", r.line, got)
	}
	if err := p.toolbox().Upload(t.Context(), files...); err != nil {
		t.Errorf("an answer without sizes: %v", err)
	}
	for range 2 {
		if err := p.toolbox().Upload(t.Context(), files...); err == nil {
			t.Error("no error for a file that arrived in part, or not at all")
		}
	}
}

func TestDownload(t *testing.T) {
	for name, tc := range map[string]struct {
		from, to int64
		answer   answer
		rng      string
		want     string
	}{
		"all of it":            {0, -1, ok("0123456789"), "", "0123456789"},
		"a part":               {2, 5, answer{status: 206, body: "234"}, "bytes=2-4", "234"},
		"the rest":             {8, -1, answer{status: 206, body: "89"}, "bytes=8-", "89"},
		"a range not honoured": {2, 5, ok("0123456789"), "bytes=2-4", "234"},
		"the same, behind it":  {20, 25, ok("0123456789"), "bytes=20-24", ""},
		"behind its end":       {10, 12, answer{status: 416}, "bytes=10-11", ""},
		"nothing":              {5, 5, answer{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, tc.answer)
			got, err := p.toolbox().Download(t.Context(), "/a b", tc.from, tc.to)
			if err != nil || string(got) != tc.want {
				t.Errorf("Download = %q, %v, want %q", got, err, tc.want)
			}
			if tc.from == tc.to {
				return
			}
			if r := p.last(); r.line != "GET /toolbox/id1/files/download?path=%2Fa+b" || r.header.Get("Range") != tc.rng {
				t.Errorf("asked %s, %q", r.line, r.header.Get("Range"))
			}
		})
	}
	if _, err := newPlatform(t, answer{status: 404}).toolbox().Download(t.Context(), "/x", 0, -1); !errors.Is(err, daytona.ErrNotFound) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestBulkDownload(t *testing.T) {
	const boundary = "DAYTONA-FILE-BOUNDARY"
	body := strings.ReplaceAll("--"+boundary+"\n"+
		`Content-Disposition: form-data; name="file"; filename="/a/b.txt"`+"\nContent-Length: 5\n\n\x00\r\rhi\n--"+boundary+"\n"+
		`Content-Disposition: form-data; name="error"; filename="/nope"`+"\n\n"+
		`{"statusCode":404,"message":"no file","code":"FILE_NOT_FOUND"}`+"\n--"+boundary+"--\n", "\n", "\r\n")
	p := newPlatform(t,
		answer{status: 200, body: body, header: map[string]string{"Content-Type": "multipart/form-data; boundary=" + boundary}},
		answer{status: 200, body: body[:60], header: map[string]string{"Content-Type": "multipart/form-data; boundary=" + boundary}},
		ok("plain"))
	files, err := p.toolbox().BulkDownload(t.Context(), "/a/b.txt", "/nope")
	if !errors.Is(err, daytona.ErrNotFound) || !strings.Contains(err.Error(), "/nope") {
		t.Errorf("%v, want the file that is not there", err)
	}
	if len(files) != 1 || files[0].Path != "/a/b.txt" || !bytes.Equal(files[0].Content, []byte("\x00\r\rhi")) {
		t.Errorf("%q", files)
	}
	if got := p.last().body; got != `{"paths":["/a/b.txt","/nope"]}` {
		t.Errorf("sent %s", got)
	}
	for range 2 {
		if files, err := p.toolbox().BulkDownload(t.Context(), "/x"); err == nil {
			t.Errorf("%q for an answer that is cut or no form", files)
		}
	}
}

func TestListAndHome(t *testing.T) {
	p := newPlatform(t, ok(`[{"name":"a","size":3,"isDir":false,"mode":"-rw-r--r--"},{"name":"b","isDir":true}]`), ok(`{"dir":"/home/daytona"}`))
	entries, err := p.toolbox().List(t.Context(), "/x y")
	if err != nil || len(entries) != 2 || entries[0].Size != 3 || !entries[1].IsDir {
		t.Errorf("%+v, %v", entries, err)
	}
	if home, err := p.toolbox().Home(t.Context()); home != "/home/daytona" || err != nil {
		t.Errorf("%q, %v", home, err)
	}
	if got := p.lines(); !slices.Equal(got, []string{"GET /toolbox/id1/files?path=%2Fx+y", "GET /toolbox/id1/user-home-dir"}) {
		t.Errorf("asked %q", got)
	}
}
