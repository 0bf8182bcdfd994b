package worker

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// set is a set of bytes.
type set [4]uint64

func (s *set) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *set) has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }

// form is one way to write a secret: what may stand at each place, in order.
type form struct {
	places  []set
	escapes escapes // each place may also be written as one of these
	between string  // what may stand between two places, besides line breaks
}

// enough is how much of a form at the edge of a text tells that the secret was cut there.
func (f *form) enough() int { return max(shortest, len(f.places)/4) }

// forms are the ways to write a secret that are searched for: as it is, escaped as in JSON, a URL or a shell, in
// hexadecimal, and in base64, alone or inside of a longer text. A line break in between hides none of them.
func forms(secret string) []form {
	all := []form{{places: literal(collapsed(secret)), escapes: anyEscape}, hexadecimal(secret)}
	if strings.ContainsAny(secret, `\%`) { // what looks like an escape may be meant as it stands, or not
		all = append(all,
			form{places: literal(secret)},
			form{places: literal(secret), escapes: percent},
			form{places: literal(collapsed(secret)), escapes: backslash},
		)
	}
	for shift := range 3 {
		all = append(all, form{places: sixBits(secret, shift), escapes: anyEscape})
	}
	return all
}

// collapsed makes one backslash of several: each level of escaping doubles them.
func collapsed(secret string) string {
	for strings.Contains(secret, `\\`) {
		secret = strings.ReplaceAll(secret, `\\`, `\`)
	}
	return secret
}

func literal(secret string) []set {
	places := make([]set, len(secret))
	for i := range places {
		if places[i].add(secret[i]); secret[i] == ' ' {
			places[i].add('+') // as in a query
		}
	}
	return places
}

func hexadecimal(secret string) form {
	lower := hex.EncodeToString([]byte(secret))
	upper := strings.ToUpper(lower)
	f := form{places: literal(lower), escapes: anyEscape, between: " :"}
	for i := range f.places {
		f.places[i].add(upper[i])
	}
	return f
}

// sixBits is the secret's base64, in both alphabets, when shift bytes stand before it in its group of three. At both
// edges a letter may hold bits of a neighbour, and then several fit.
func sixBits(secret string, shift int) []set {
	const std = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	const url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	first, end := shift*8, (shift+len(secret))*8 // the secret's bits
	low := strings.Repeat("\x00", shift) + secret + strings.Repeat("\x00", 3)
	high := strings.Repeat("\xff", shift) + secret + strings.Repeat("\xff", 3)
	from := base64.RawStdEncoding.EncodeToString([]byte(low))
	to := base64.RawStdEncoding.EncodeToString([]byte(high))
	var places []set
	for at := first / 6; at*6 < end; at++ {
		fixed := ^(strings.IndexByte(std, from[at]) ^ strings.IndexByte(std, to[at])) // the bits that are the secret's
		value := strings.IndexByte(std, from[at]) & fixed
		var place set
		for v := range 64 {
			if v&fixed&63 == value&63 {
				place.add(std[v])
				place.add(url[v])
			}
		}
		places = append(places, place)
	}
	return places
}
