package auth

import (
	"errors"
	"time"
	"unicode"
	"unicode/utf8"
)

// Errors of who asks. None says anything about what was presented.
var (
	ErrNone      = errors.New("no credential")
	ErrRefused   = errors.New("credential refused")
	ErrExpired   = errors.New("credential expired")
	ErrScope     = errors.New("scope missing")
	ErrOtherUser = errors.New("another user is named")
	ErrUnnamed   = errors.New("no user is named")
)

// Identity is whom a credential stands for, before a request says in whose name it asks.
type Identity struct {
	Name    string // of the key, for the log; "jwt" for a token
	Tenant  string
	UserID  string // "" for a service, which vouches for the users that it names
	Scopes  Scopes
	Expires time.Time // zero means never
}

// Local is who asks when no keys are configured: whoever reaches loopback has every scope and may name anybody.
func Local() Identity { return Identity{Name: "local", Scopes: Admin} }

// For is the Caller of a request that names a user, "" for none. Without a name an operator asks for every user of the
// tenant, and anybody else for themselves.
//
// ErrOtherUser: that user is not the credential's. ErrUnnamed: the credential belongs to a service, and a service that
// forgot to say for whom must not be shown everybody's.
func (i Identity) For(named string) (Caller, error) {
	c := Caller{Tenant: i.Tenant, UserID: named, Scopes: i.Scopes}
	switch {
	case named == "" && i.Scopes.Has(Ops):
		c.Operator = true
	case named == "" && i.UserID == "":
		return Caller{}, ErrUnnamed
	case named == "":
		c.UserID = i.UserID
	case named != i.UserID && i.UserID != "" && !i.Scopes.Has(Ops):
		return Caller{}, ErrOtherUser
	}
	return c, nil
}

const maxID = 128 // characters of a user or tenant

// isID reports whether id can name a user or a tenant. A test in httpapi holds it to what a body's userId may be.
func isID(id string) bool {
	if id == "" || !utf8.ValidString(id) || utf8.RuneCountInString(id) > maxID {
		return false
	}
	for _, r := range id {
		if !unicode.IsPrint(r) || unicode.IsSpace(r) {
			return false
		}
	}
	return true
}
