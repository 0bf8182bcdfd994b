package daemon

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/coder/websocket"
)

// logs answers a command's log: whole, or followed until the command has ended.
func (t *Toolbox) logs(w http.ResponseWriter, r *http.Request) error {
	c, err := t.command(r)
	if err != nil {
		return err
	}
	return replyLogs(w, r, c)
}

// entrypointLogs is the log of the sandbox's own long-running command, which says nothing and never ends.
func (t *Toolbox) entrypointLogs(w http.ResponseWriter, r *http.Request) error {
	return replyLogs(w, r, &command{id: "entrypoint_command", log: newLog("")})
}

func replyLogs(w http.ResponseWriter, r *http.Request, c *command) error {
	follow := r.URL.Query().Get("follow") == "true"
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		return followSocket(w, r, c, follow)
	case follow:
		return followPlain(w, r, c)
	}
	out, err := c.log.read()
	if err != nil {
		return fmt.Errorf("read the log of command %s: %w", c.id, err)
	}
	f := formOf(r)
	if f == split {
		stdout, stderr := demux(out)
		return reply(w, http.StatusOK, map[string]string{"output": string(out), "stdout": string(stdout), "stderr": string(stderr)})
	}
	if f == plain {
		out = unmark(out)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(out)
	return nil
}

// followSocket sends the log from its beginning as binary messages and closes normally when it is complete. The exit
// code is not in the stream.
func followSocket(w http.ResponseWriter, r *http.Request, c *command, follow bool) error {
	o := &websocket.AcceptOptions{InsecureSkipVerify: true} // a bearer key was checked before; Origin proves nothing more
	if p := versionSubprotocol(r); p != "" {
		o.Subprotocols = []string{p}
	}
	socket, err := websocket.Accept(w, r, o)
	if err != nil {
		return nil // Accept has answered
	}
	defer socket.CloseNow()
	ctx := socket.CloseRead(r.Context())
	err = eachChunk(ctx, c, formOf(r) == plain, follow, func(b []byte) error {
		return socket.Write(ctx, websocket.MessageBinary, b)
	})
	if err != nil {
		return nil // the follower has gone; the command goes on
	}
	_ = socket.Close(websocket.StatusNormalClosure, "")
	return nil
}

// followPlain is the same without an upgrade; markers are always stripped there.
func followPlain(w http.ResponseWriter, r *http.Request, c *command) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	out := http.NewResponseController(w)
	_ = out.Flush() // the status tells the follower that it is attached
	_ = eachChunk(r.Context(), c, true, true, func(b []byte) error {
		if _, err := w.Write(b); err != nil {
			return err
		}
		return out.Flush()
	})
	return nil
}

// eachChunk visits the log's bytes from the beginning, waiting for more until it is complete if follow.
func eachChunk(ctx context.Context, c *command, stripped, follow bool, visit func([]byte) error) error {
	var f *os.File               // opened with the first output: before, there is no file
	defer func() { f.Close() }() // nil is fine
	buffer := make([]byte, 32<<10)
	var at int64
	for {
		size, complete, changed := c.log.state()
		if f == nil && size > 0 {
			var err error
			if f, err = os.Open(c.log.path); err != nil {
				return fmt.Errorf("open the log of command %s: %w", c.id, err)
			}
		}
		for at < size {
			n, err := f.ReadAt(buffer[:min(int64(len(buffer)), size-at)], at)
			if n == 0 && err != nil && err != io.EOF {
				return err
			}
			chunk := buffer[:n]
			if stripped {
				chunk = wholeMarkers(chunk, at+int64(n) == size)
			}
			at += int64(len(chunk))
			if stripped {
				chunk = unmark(chunk)
			}
			if err := visit(chunk); err != nil {
				return err
			}
		}
		if complete || !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// wholeMarkers cuts b so that no marker is split: a run of marker bytes at its end waits for the next chunk. At the
// log's present end nothing waits, because the log only grows by whole lines.
func wholeMarkers(b []byte, last bool) []byte {
	if last {
		return b
	}
	end := len(b)
	for end > 0 && (b[end-1] == 1 || b[end-1] == 2) {
		end--
	}
	if end == 0 {
		return b
	}
	return b[:end]
}
