package worker

import (
	"bytes"
	"encoding/json"
	"strings"
)

// json masks a JSON text: each string and number of it for itself, so that it stays JSON. What needs no mask keeps
// its bytes. nil stays nil.
func (m mask) json(raw []byte) []byte {
	if len(raw) == 0 {
		return raw
	}
	if !json.Valid(raw) {
		return []byte(m.text(string(raw)))
	}
	out := make([]byte, 0, len(raw))
	for rest := raw; len(rest) > 0; {
		n := token(rest)
		out, rest = append(out, m.token(rest[:n])...), rest[n:]
	}
	return out
}

// token is the length of the string, the number or the other bytes at the beginning of valid JSON.
func token(rest []byte) int {
	const number = "+-.0123456789eE"
	switch c := rest[0]; {
	case c == '"':
		n := 1
		for rest[n] != '"' {
			if rest[n] == '\\' {
				n++
			}
			n++
		}
		return n + 1
	case strings.IndexByte(number, c) >= 0 && c != 'e': // the e of true or false
		for n := range rest {
			if strings.IndexByte(number, rest[n]) < 0 {
				return n
			}
		}
		return len(rest)
	}
	for n, c := range rest {
		if c == '"' || c == '-' || c >= '0' && c <= '9' {
			return n
		}
	}
	return len(rest)
}

func (m mask) token(raw []byte) []byte {
	text := string(raw)
	if raw[0] == '"' {
		if text = text[1 : len(text)-1]; strings.IndexByte(text, '\\') >= 0 && json.Unmarshal(raw, &text) != nil {
			return raw // cannot be: it was valid
		}
	}
	clean := m.text(text)
	if clean == text {
		return raw
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(clean); err != nil {
		return []byte(`"` + masked + `"`)
	}
	return bytes.TrimSpace(out.Bytes())
}
