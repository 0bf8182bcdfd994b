package chaos

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
)

// writes are the kinds of writes of the product, each with words that only its statements have.
var writes = []struct{ kind, words string }{
	{"submit", "INSERT INTO inputs"},
	{"claim", "INSERT INTO leases"},
	{"beat", "SELECT cancel_requested FROM jobs WHERE id = leases.job_id"},
	{"intend", "INSERT INTO runs"},
	{"launched", "SET phase = 'launched'"},
	{"append", "UPDATE runs SET read_offset"},
	{"result", "INSERT INTO results"},
	{"end", "ended_by = $9"},
	{"requeue", "moves = moves + CASE"},
	{"cancel", "SET cancel_requested"},
	{"sandbox", "UPDATE sandboxes SET"},
	{"new sandbox", "INSERT INTO sandboxes"},
	{"push again", "SET dispatch_seq = dispatch_seq + 1"},
	{"turn", "INSERT INTO turns"},
	{"hand over", "DELETE FROM turns"},
}

// kindsOf are the kinds of writes that a statement belongs to.
func kindsOf(query string) (kinds []string) {
	for _, w := range writes {
		if strings.Contains(query, w.words) {
			kinds = append(kinds, w.kind)
		}
	}
	return kinds
}

// postgresEar follows the transactions of one connection (the protocol's chapter "Message Formats"). A transaction's
// answer is the tag COMMIT.
type postgresEar struct {
	proxy *streamProxy

	mu         sync.Mutex
	statements map[string][]string // prepared → its kinds
	written    []string            // kinds of the transaction
	asked      frames
	answered   frames
}

func newPostgresEar(p *streamProxy) ear {
	return &postgresEar{proxy: p, statements: map[string][]string{}, asked: frames{startup: true}}
}

func (e *postgresEar) calls(data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked.feed(data, func(kind byte, body []byte) bool {
		switch kind {
		case 'Q':
			e.write(kindsOf(string(body)))
		case 'P': // Parse: name, query
			name, rest, _ := bytes.Cut(body, []byte{0})
			e.statements[string(name)] = kindsOf(string(rest))
		case 'B': // Bind: portal, statement
			_, rest, _ := bytes.Cut(body, []byte{0})
			name, _, _ := bytes.Cut(rest, []byte{0})
			e.write(e.statements[string(name)])
		}
		return false
	})
}

func (e *postgresEar) write(kinds []string) {
	for _, kind := range kinds {
		if !slices.Contains(e.written, kind) {
			e.written = append(e.written, kind)
		}
	}
}

func (e *postgresEar) answers(data []byte) (pass int, breaks bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.answered.feed(data, func(kind byte, body []byte) bool {
		if kind != 'C' {
			return false
		}
		tag := strings.TrimRight(string(body), "\x00")
		if tag != "COMMIT" && tag != "ROLLBACK" {
			return false
		}
		written := e.written
		e.written = nil
		return tag == "COMMIT" && len(written) > 0 && e.proxy.trapped(written)
	})
}

// frames cuts a stream into messages: a byte for the kind, four for the length, the body. The first message of a client
// has no kind.
type frames struct {
	startup bool
	pending []byte
}

// feed hands each whole message to heard. When that is true for one, it gives how many bytes of data stand before it.
func (f *frames) feed(data []byte, heard func(kind byte, body []byte) bool) (pass int, breaks bool) {
	before := len(f.pending)
	f.pending = append(f.pending, data...)
	at := 0
	defer func() { f.pending = slices.Clone(f.pending[at:]) }()
	for {
		rest := f.pending[at:]
		head := 5
		if f.startup {
			head = 4
		}
		if len(rest) < head {
			return len(data), false
		}
		size := head - 4 + int(binary.BigEndian.Uint32(rest[head-4:head]))
		if len(rest) < size {
			return len(data), false
		}
		if f.startup {
			f.startup = false
		} else if heard(rest[0], rest[head:size]) {
			return max(0, at-before), true
		}
		at += size
	}
}
