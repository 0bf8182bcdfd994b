package localdaytona_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func (b box) follow(t *testing.T, session, cmdID string, header http.Header) *websocket.Conn {
	t.Helper()
	header.Set("Authorization", "Bearer "+b.key)
	url := "ws" + strings.TrimPrefix(b.url, "http") + b.toolbox("/process/session/"+session+"/command/"+cmdID+"/logs?follow=true")
	socket, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatalf("follow: %v", err)
	}
	t.Cleanup(func() { socket.CloseNow() })
	return socket
}

// readAll reads a socket to its end and returns what it carried and the close code.
func readAll(t *testing.T, socket *websocket.Conn) (string, websocket.StatusCode) {
	t.Helper()
	var all bytes.Buffer
	for {
		kind, b, err := socket.Read(t.Context())
		if err != nil {
			return all.String(), websocket.CloseStatus(err)
		}
		if kind != websocket.MessageBinary {
			t.Errorf("a message of kind %v, want binary", kind)
		}
		all.Write(b)
	}
}

func TestFollow(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		b.session(t, "s")
		id := b.execAsync(t, "s", `printf 'one\377\n'; echo err >&2; until test -e go; do sleep 0.01; done; seq 1 30000; echo end; false`)
		version := http.Header{"X-Daytona-SDK-Version": {"0.205.1"}}
		early := b.follow(t, "s", id, version.Clone())
		if _, first, err := early.Read(t.Context()); err != nil || len(first) == 0 {
			t.Fatalf("a running command's log: %q, %v", first, err)
		}
		early.CloseNow() // one that leaves disturbs nobody
		marked := b.follow(t, "s", id, version.Clone())
		plain := b.follow(t, "s", id, http.Header{})
		b.run(t, "touch go")
		all, code := readAll(t, marked)
		if code != 1000 || !strings.Contains(all, "\x01\x01\x01one\xff\n") || !strings.Contains(all, "\x02\x02\x02err\n") || !strings.HasSuffix(all, "\x01\x01\x0130000\n\x01\x01\x01end\n") {
			t.Errorf("a follower got %d bytes, %.60q … %q, close %d; want all from the beginning, marked, 1000", len(all), all, all[max(0, len(all)-30):], code)
		}
		if got := strings.Count(all, "\n"); got != 30003 {
			t.Errorf("a follower got %d lines, want 30003", got)
		}
		without, code := readAll(t, plain)
		if want := strings.NewReplacer("\x01", "", "\x02", "").Replace(all); code != 1000 || len(without) != len(want) || strings.ContainsAny(without, "\x01\x02") {
			t.Errorf("a follower without a version got %d bytes, want %d without markers", len(without), len(want))
		}
		if v := b.must(t, 200, "GET", b.toolbox("/process/session/s/command/"+id), nil).json(t); v["exitCode"] != 1.0 {
			t.Errorf("exit code after the follow: %v, want 1", v["exitCode"])
		}
		over := b.request(t, "GET", b.toolbox("/process/session/s/command/"+id+"/logs?follow=true"), nil, nil)
		if over.status != 200 || over.header.Get("Content-Type") != "application/octet-stream" || string(over.body) != without {
			t.Errorf("a plain follow = %d %s, %d bytes, want %d", over.status, over.header.Get("Content-Type"), len(over.body), len(without))
		}
	})
}

func TestPlainFollowStreams(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, nil)
	b.session(t, "s")
	id := b.execAsync(t, "s", "echo one; until test -e go; do sleep 0.01; done; echo two")
	q, err := http.NewRequestWithContext(t.Context(), "GET", b.url+b.toolbox("/process/session/s/command/"+id+"/logs?follow=true"), nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+b.key)
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	first := make([]byte, 4)
	if _, err := io.ReadFull(r.Body, first); err != nil || string(first) != "one\n" {
		t.Fatalf("first line %q, %v", first, err)
	}
	b.run(t, "touch go")
	if rest, err := io.ReadAll(r.Body); err != nil || string(rest) != "two\n" {
		t.Errorf("the rest is %q, %v", rest, err)
	}
}

func TestFollowEndsWithTheSession(t *testing.T) {
	h := open(t, nil)
	b := h.create(t, nil)
	b.session(t, "s")
	id := b.execAsync(t, "s", "echo up; sleep 1000")
	socket := b.follow(t, "s", id, http.Header{})
	if _, _, err := socket.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.must(t, 204, "DELETE", b.toolbox("/process/session/s"), nil)
	if _, code := readAll(t, socket); code != 1000 {
		t.Errorf("close %d, want 1000", code)
	}
	_, response, err := websocket.Dial(context.Background(), "ws"+strings.TrimPrefix(b.url, "http")+b.toolbox("/process/session/s/command/"+id+"/logs?follow=true"),
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + b.key}}})
	if err == nil || response.StatusCode != 404 {
		t.Errorf("a follow of nothing: %v, want 404 before the upgrade", err)
	}
}

func TestTheEntrypointSaysNothingAndNeverEnds(t *testing.T) {
	b := open(t, nil).create(t, nil)
	v := b.must(t, 200, "GET", b.toolbox("/process/session/entrypoint/logs"), nil).json(t)
	if v["output"] != "" || v["stdout"] != "" || v["stderr"] != "" {
		t.Errorf("its log: %v", v)
	}
	url := "ws" + strings.TrimPrefix(b.url, "http") + b.toolbox("/process/session/entrypoint/logs?follow=true")
	socket, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + b.key}}})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	b.must(t, 200, "POST", b.api("/stop?force=true"), nil)
	if all, code := readAll(t, socket); all != "" || code != -1 {
		t.Errorf("a follower got %q and close code %d, want nothing, and a drop when the sandbox stops", all, code)
	}
}
