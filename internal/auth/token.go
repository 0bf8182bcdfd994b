package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MinSecret is the fewest bytes of a secret for HS256: a key shorter than the hash makes the signature weaker than it
// looks (RFC 7518 §3.2).
const MinSecret = 32

// TokenOptions say which JSON web tokens are taken.
type TokenOptions struct {
	Secret   []byte // of HS256; none means that no token is taken
	Issuer   string // what iss must be; "" takes any
	Audience string // what aud must hold; "" takes tokens without an aud only
	Now      func() time.Time
}

// tokens reads JSON web tokens.
type tokens struct {
	o      TokenOptions
	parser *jwt.Parser
}

func newTokens(o TokenOptions) *tokens {
	if len(o.Secret) == 0 {
		return nil
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	rules := []jwt.ParserOption{
		// The token's own word for how it is signed is an attacker's choice: "none", or a public key used as a secret.
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(), // one without an end could never be taken back
		jwt.WithTimeFunc(o.Now),
	}
	if o.Issuer != "" {
		rules = append(rules, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		rules = append(rules, jwt.WithAudience(o.Audience))
	}
	return &tokens{o: o, parser: jwt.NewParser(rules...)}
}

// claims are what a token says. Without scope and scopes it is good for its user's own jobs.
type claims struct {
	jwt.RegisteredClaims
	Tenant string `json:"tenant"`
	Scope  *words `json:"scope"` // RFC 8693 §4.2: words with blanks between them
	Scopes *words `json:"scopes"`
}

// words is a list of words: as JSON, or as text with blanks between them.
type words []string

// UnmarshalJSON takes either form.
func (w *words) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*w = strings.Fields(text)
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(w))
}

// identify reads a token. Errors are ErrExpired, of a token that was good once, and ErrRefused with the reason, for the
// log: neither holds anything of the token.
func (t *tokens) identify(token string) (Identity, error) {
	var c claims
	_, err := t.parser.ParseWithClaims(token, &c, func(parsed *jwt.Token) (any, error) {
		if _, critical := parsed.Header["crit"]; critical {
			return nil, errors.New("it asks for an extension") // RFC 7515 §4.1.11: none is understood
		}
		return t.o.Secret, nil
	})
	switch {
	case err != nil:
		return Identity{}, refusal(err)
	case t.o.Audience == "" && len(c.Audience) > 0: // RFC 7519 §4.1.3: it is meant for somebody else
		return Identity{}, fmt.Errorf("%w: it has an audience, and AUTH_AUDIENCE is not set", ErrRefused)
	case !isID(c.Subject):
		return Identity{}, fmt.Errorf("%w: its sub is no user id", ErrRefused)
	case c.Tenant != "" && !isID(c.Tenant):
		return Identity{}, fmt.Errorf("%w: its tenant is no id", ErrRefused)
	}
	return Identity{Name: "jwt", Tenant: c.Tenant, UserID: c.Subject, Scopes: c.scopes(), Expires: c.ExpiresAt.Time}, nil
}

// scopes passes over words that are not ours: one token may open several doors.
func (c claims) scopes() (s Scopes) {
	if c.Scope == nil && c.Scopes == nil {
		return Jobs
	}
	for _, list := range []*words{c.Scope, c.Scopes} {
		if list == nil {
			continue
		}
		for _, word := range *list {
			scope, _ := ParseScope(word)
			s |= scope
		}
	}
	return s
}

// reasons are our words for why a token is refused. The library's own text may repeat what the token says.
var reasons = []struct {
	err error
	why string
}{
	{jwt.ErrTokenMalformed, "it is neither a known key nor a token"},
	{jwt.ErrTokenSignatureInvalid, "its signature or algorithm is wrong"},
	{jwt.ErrTokenRequiredClaimMissing, "a claim is missing"},
	{jwt.ErrTokenNotValidYet, "it is not valid yet"},
	{jwt.ErrTokenInvalidIssuer, "its issuer is another"},
	{jwt.ErrTokenInvalidAudience, "its audience is another"},
}

func refusal(err error) error {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return fmt.Errorf("%w: %s", ErrRefused, r.why)
		}
	}
	if errors.Is(err, jwt.ErrTokenExpired) { // last: everything else about it is right
		return ErrExpired
	}
	return fmt.Errorf("%w: it cannot be read", ErrRefused)
}
