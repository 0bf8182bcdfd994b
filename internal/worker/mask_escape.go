package worker

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// mostBackslashes bounds the work on a text that consists of them; enough for four levels of strings in strings.
const mostBackslashes = 63

// escapes are ways to escape a byte.
type escapes uint8

const (
	backslash escapes = 1 << iota // \n, \", \u0041, \x41, at any level of nesting
	percent                       // %41
	percents                      // the same, and %2541, which was escaped twice

	anyEscape = backslash | percents
)

// escape is what one escape sequence stands for. A next of 0 means that there is none.
type escape struct {
	bytes [utf8.UTFMax]byte
	n     int // of bytes
	next  int // where the text goes on
}

func escaped(next int, b byte) escape { return escape{bytes: [utf8.UTFMax]byte{b}, n: 1, next: next} }

// unescape reads an escape of the allowed kind at text[at].
func unescape(text string, at int, allowed escapes) escape {
	rest := text[at:]
	switch c := rest[0]; {
	case c == '%' && allowed&(percent|percents) != 0:
		return percentEscape(rest, at, allowed&percents != 0)
	case c != '\\' || allowed&backslash == 0:
		return escape{}
	}
	depth := 0
	for depth < min(len(rest), mostBackslashes) && rest[depth] == '\\' {
		depth++
	}
	if depth == len(rest) {
		return escape{}
	}
	next := at + depth + 1
	switch c := rest[depth]; c {
	case '"', '\'', '/':
		return escaped(next, c)
	case 'n':
		return escaped(next, '\n')
	case 'r':
		return escaped(next, '\r')
	case 't':
		return escaped(next, '\t')
	case 'x':
		if v, ok := digits(text, next, 2); ok {
			return escaped(next+2, byte(v))
		}
	case 'u':
		return unicodeEscape(text, next)
	}
	return escape{}
}

// percentEscape: "%41", and "%2541" if nested ones count.
func percentEscape(rest string, at int, nested bool) escape {
	n := 1
	for range 3 {
		if !nested || !strings.HasPrefix(rest[n:], "25") {
			break
		}
		if _, more := digits(rest, n+2, 2); !more {
			break
		}
		n += 2
	}
	if v, ok := digits(rest, n, 2); ok {
		return escaped(at+n+2, byte(v))
	}
	return escape{}
}

// unicodeEscape reads the digits behind "\\u", and those of a second half.
func unicodeEscape(text string, at int) escape {
	v, ok := digits(text, at, 4)
	if !ok {
		return escape{}
	}
	r, next := rune(v), at+4
	if utf16.IsSurrogate(r) {
		second := strings.TrimLeft(text[next:min(len(text), next+mostBackslashes+5)], `\`)
		skipped := min(len(text), next+mostBackslashes+5) - next - len(second)
		low, ok := digits(second, 1, 4)
		if !ok || second[0] != 'u' {
			return escape{}
		}
		r, next = utf16.DecodeRune(r, rune(low)), next+skipped+5
	}
	e := escape{next: next}
	e.n = utf8.EncodeRune(e.bytes[:], r)
	return e
}

// digits reads n hexadecimal digits at text[at].
func digits(text string, at, n int) (v uint64, ok bool) {
	if at+n > len(text) {
		return 0, false
	}
	v, err := strconv.ParseUint(text[at:at+n], 16, 32)
	return v, err == nil
}
