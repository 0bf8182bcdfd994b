package auth

import "strings"

// Scopes is a set of what a credential may be used for.
type Scopes uint8

// The scopes. One does not hold another, but Admin holds all: a scraper's key with Ops alone cannot spend money.
const (
	Jobs  Scopes = 1 << iota // submit, read and cancel jobs and sandboxes of one's own user
	Ops                      // see figures of the process; with Jobs: ask for every user of the tenant
	Admin                    // everything, also what comes later
)

// scopeNames are the words of scopes, in the order in which they are shown.
var scopeNames = []struct {
	scope Scopes
	name  string
}{{Jobs, "jobs"}, {Ops, "ops"}, {Admin, "admin"}}

// ParseScope reads one word.
func ParseScope(word string) (s Scopes, known bool) {
	for _, n := range scopeNames {
		if n.name == word {
			return n.scope, true
		}
	}
	return 0, false
}

// Has reports whether s has all of need.
func (s Scopes) Has(need Scopes) bool { return s&Admin != 0 || s&need == need }

// String is the words, joined by "+".
func (s Scopes) String() string {
	var words []string
	for _, n := range scopeNames {
		if s&n.scope != 0 {
			words = append(words, n.name)
		}
	}
	return strings.Join(words, "+")
}
