package httpapi

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"sandpiper/internal/job"
)

// checker looks at what encoding/json lets pass silently: it replaces invalid UTF-8 and half surrogate pairs by
// U+FFFD, and the last of two equal keys wins. A prompt must arrive as it was sent or not at all, so these are
// faults, each with its place. The checker expects valid JSON (json.Valid) and reads it in one pass.
type checker struct {
	raw  []byte
	at   int
	path []step
	text []error // faults of text
	twin []error // keys given twice
}

// step is one token of the path to the current value: a key as it stands in the body, or an index. It becomes a
// pointer only when there is a fault: a deep body would make megabytes of them.
type step struct {
	key   []byte // with its quotes; nil for an index
	index int
}

// maxFaults bounds what one answer lists.
const maxFaults = 50

// checkText returns the faults of valid JSON that decoding would hide.
func checkText(raw []byte) (text, twin []error) {
	c := &checker{raw: raw}
	c.value()
	return c.text, c.twin
}

func (c *checker) value() {
	switch c.space(); c.raw[c.at] {
	case '{':
		c.object()
	case '[':
		c.array()
	case '"':
		c.note(c.string())
	default: // a number or a word: to the next delimiter
		for c.at < len(c.raw) && !strings.ContainsRune(",]} \t\r\n", rune(c.raw[c.at])) {
			c.at++
		}
	}
}

func (c *checker) object() {
	seen := map[string]bool{}
	c.at++
	c.path = append(c.path, step{})
	for c.space(); c.raw[c.at] != '}'; c.space() {
		if c.raw[c.at] == ',' {
			c.at++
			c.space()
		}
		from := c.at
		bad := c.string()
		key := c.raw[from:c.at]
		c.path[len(c.path)-1] = step{key: key}
		c.note(bad)
		if name := unquote(key); seen[name] {
			c.twin = c.fault(c.twin, "must not be given twice")
		} else {
			seen[name] = true
		}
		c.space()
		c.at++ // the colon
		c.value()
	}
	c.at++
	c.path = c.path[:len(c.path)-1]
}

func (c *checker) array() {
	c.at++
	c.path = append(c.path, step{})
	for c.space(); c.raw[c.at] != ']'; c.space() {
		if c.raw[c.at] == ',' {
			c.at++
			c.path[len(c.path)-1].index++
		}
		c.value()
	}
	c.at++
	c.path = c.path[:len(c.path)-1]
}

// string passes over a string with its quotes and returns its first fault, "" without one.
func (c *checker) string() (bad string) {
	for c.at++; c.raw[c.at] != '"'; {
		from, size, must := c.at, 1, ""
		switch b := c.raw[c.at]; {
		case b == '\\' && c.raw[c.at+1] == 'u':
			size, must = c.escape()
		case b == '\\':
			size = 2
		case b >= utf8.RuneSelf:
			var r rune
			if r, size = utf8.DecodeRune(c.raw[c.at:]); r == utf8.RuneError && size == 1 {
				must = "must be valid UTF-8"
			}
		}
		c.at += size
		if must != "" && bad == "" {
			bad = fmt.Sprintf("%s: see byte %d of the body", must, from)
		}
	}
	c.at++
	return bad
}

// escape measures \uXXXX, or two of them that are a pair (RFC 8259 §7).
func (c *checker) escape() (size int, must string) {
	u := c.unit(c.at)
	if u < 0xD800 || u >= 0xE000 {
		return 6, ""
	}
	if u < 0xDC00 && c.raw[c.at+6] == '\\' && c.raw[c.at+7] == 'u' {
		if low := c.unit(c.at + 6); low >= 0xDC00 && low < 0xE000 {
			return 12, ""
		}
	}
	return 6, "must not hold half of a surrogate pair"
}

// unit is the number in \uXXXX at a place. The JSON is valid, so the digits are there.
func (c *checker) unit(at int) uint64 {
	u, _ := strconv.ParseUint(string(c.raw[at+2:at+6]), 16, 32)
	return u
}

func (c *checker) space() {
	for c.at < len(c.raw) && strings.IndexByte(" \t\r\n", c.raw[c.at]) >= 0 {
		c.at++
	}
}

// note keeps a fault of text, if there is one.
func (c *checker) note(must string) {
	if must != "" {
		c.text = c.fault(c.text, must)
	}
}

func (c *checker) fault(faults []error, must string) []error {
	if len(faults) >= maxFaults {
		return faults
	}
	return append(faults, job.FieldError{Pointer: c.pointer(), Must: must})
}

// pointer is the place of the current value (RFC 6901), no longer than an answer shows.
func (c *checker) pointer() string {
	var b strings.Builder
	for _, s := range c.path {
		if b.Len() > maxPointer {
			break
		}
		b.WriteByte('/')
		if s.key == nil {
			b.WriteString(strconv.Itoa(s.index))
		} else {
			b.WriteString(pointerToken(unquote(s.key)))
		}
	}
	return b.String()
}

// pointerToken escapes one token of a JSON pointer (RFC 6901 §3).
func pointerToken(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }
