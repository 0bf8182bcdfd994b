package scripted

import (
	"errors"
	"net"
	"net/http"
	"time"

	"sandpiper/internal/offline/messages"
)

// errCut says that the script asks for a broken connection.
var errCut = errors.New("cut by script")

// player sends one answer over one connection.
type player struct {
	w      http.ResponseWriter
	r      *http.Request
	closed <-chan struct{} // the server's
	left   int             // bytes until the cut; 0 = no cut by bytes
}

// play sends a, or breaks the connection as a asks.
func (p *player) play(req Request, a Answer) {
	p.left = a.CutAfterBytes
	switch {
	case a.Silent && !p.wait(nil), a.Hold != nil && !p.wait(a.Hold), !p.pause(a.Delay):
		p.cut(false)
		return
	case a.Reset:
		p.cut(true)
		return
	}
	for name, values := range a.Header {
		p.w.Header()[name] = values
	}
	if err := p.body(req, a); err != nil {
		if a.Stall {
			p.wait(nil)
		}
		p.pause(a.Linger)
		p.cut(false)
	}
}

// body sends the error, the message or the stream.
func (p *player) body(req Request, a Answer) error {
	header := p.w.Header()
	header.Set("Request-Id", "req_scripted")
	if a.Status != 0 && a.Status != http.StatusOK || a.Body != nil {
		p.w.WriteHeader(max(a.Status, http.StatusOK))
		return p.send(a.Body)
	}
	reply := a.reply(req.Asked.Model, req.Seq)
	if !req.Asked.Stream {
		header.Set("Content-Type", "application/json")
		if a.ErrorEvent != "" {
			p.w.WriteHeader(http.StatusInternalServerError)
			return p.send(messages.ErrorJSON(a.ErrorEvent, "scripted"))
		}
		return p.send(reply.JSON())
	}
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	return p.stream(a, reply.Frames(a.pieces()))
}

// stream sends the frames one by one, each flushed.
func (p *player) stream(a Answer, frames []messages.Frame) error {
	for _, f := range frames {
		if a.ErrorEvent != "" && f.Event == "message_delta" {
			return p.send(messages.ErrorFrame(a.ErrorEvent, "scripted").Bytes())
		}
		if !p.pause(a.Delay) {
			return errCut
		}
		if err := p.send(f.Bytes()); err != nil {
			return err
		}
		if a.CutAfterBlocks > 0 && f.Block >= a.CutAfterBlocks {
			return errCut
		}
	}
	return nil
}

// send writes and flushes data, up to the byte where the script cuts.
func (p *player) send(data []byte) error {
	var cut error
	if p.left > 0 {
		if len(data) >= p.left {
			data, cut = data[:p.left], errCut
		}
		p.left -= len(data)
	}
	if _, err := p.w.Write(data); err != nil {
		return err
	}
	if err := http.NewResponseController(p.w).Flush(); err != nil {
		return err
	}
	return cut
}

// wait is true once ready is closed, false when the caller or the server went first. A nil ready never comes.
func (p *player) wait(ready <-chan struct{}) bool {
	select {
	case <-ready:
		return true
	case <-p.r.Context().Done():
	case <-p.closed:
	}
	return false
}

// pause is false when the caller or the server went before d was over.
func (p *player) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.r.Context().Done():
	case <-p.closed:
	}
	return false
}

// cut breaks the connection before the proper end of the body. What was sent before arrives whole, unless reset asks
// for a TCP reset.
func (p *player) cut(reset bool) {
	conn, _, err := http.NewResponseController(p.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // net/http closes the connection, and says nothing about it
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // at worst the caller sees a quiet end, which is a broken answer too
	}
	_ = conn.Close()
}

// pieces cuts a text into what one delta carries.
func (a Answer) pieces() func(string) []string {
	if a.Pieces <= 0 {
		return messages.Words
	}
	return func(text string) []string {
		var parts []string
		for len(text) > a.Pieces {
			parts, text = append(parts, text[:a.Pieces]), text[a.Pieces:]
		}
		return append(parts, text)
	}
}
