package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// open is what a route needs that everybody may use.
const open auth.Scopes = 0

// admit wraps a route's handler: it finds out who asks, before anything of the request is read, and turns away whoever
// may not use the route.
func (s *Server) admit(needs auth.Scopes, handle echo.HandlerFunc) echo.HandlerFunc {
	if needs == open {
		return handle
	}
	return func(c echo.Context) error {
		who, err := s.identify(c)
		if err == nil {
			note(c, func(a *asker) { a.who = who })
			if !who.Scopes.Has(needs) {
				err = auth.ErrScope
			}
		}
		if err != nil {
			s.log.DebugContext(c.Request().Context(), "request turned away", "requestId", requestID(c), "route", c.Path(), "err", err)
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, challenge(err, needs))
			if isPage(c) {
				c.Response().Header().Add(echo.HeaderWWWAuthenticate, `Basic realm="sandpiper: any name, and a key with the scope ops as the password", charset="UTF-8"`)
			}
			return err
		}
		c.Set(identityKey, who)
		return handle(c)
	}
}

// identify says whom the credential of a request stands for. Without keys everybody is local.
func (s *Server) identify(c echo.Context) (auth.Identity, error) {
	if s.Keys == nil {
		return auth.Local(), nil
	}
	given := presented(c.Request().Header)
	if len(given) == 0 && isPage(c) {
		given = password(c.Request())
	}
	switch len(given) {
	case 0:
		return auth.Identity{}, auth.ErrNone
	case 1:
		return s.Keys.Identify(given[0])
	}
	return auth.Identity{}, auth.ErrRefused // two different ones: whom a proxy checked and whom we serve could be two
}

// keyHeader carries a key, or a token, where Authorization is a proxy's.
const keyHeader = "X-API-Key"

// presented are the credentials of a request, each once. An address is never looked at: it stands in logs, in histories
// and in the Referer of the next page.
func presented(h http.Header) []string {
	given := slices.Clone(h.Values(keyHeader))
	for _, value := range h.Values(echo.HeaderAuthorization) {
		scheme, credential, _ := strings.Cut(strings.TrimSpace(value), " ")
		if strings.EqualFold(scheme, "Bearer") {
			given = append(given, strings.TrimSpace(credential))
		}
	}
	slices.Sort(given)
	return slices.DeleteFunc(slices.Compact(given), func(s string) bool { return s == "" })
}

// isPage reports whether people open the route in a browser. A browser can ask its user for a password, and for nothing
// else, and from then on sends it by itself with every request below that path, whichever page caused it. So only what
// changes nothing may be a page.
func isPage(c echo.Context) bool { return strings.HasPrefix(c.Path(), queuesPath) }

// password is the credential that a browser sends (RFC 7617). The name beside it is anybody's.
func password(r *http.Request) []string {
	if _, given, ok := r.BasicAuth(); ok && given != "" {
		return []string{given}
	}
	return nil
}

// challenge is the WWW-Authenticate of an answer (RFC 6750 §3).
func challenge(err error, needs auth.Scopes) string {
	const realm = `Bearer realm="sandpiper"`
	switch {
	case errors.Is(err, auth.ErrNone):
		return realm
	case errors.Is(err, auth.ErrScope):
		return realm + `, error="insufficient_scope", scope="` + strings.ReplaceAll(needs.String(), "+", " ") + `"`
	case errors.Is(err, auth.ErrExpired):
		return realm + `, error="invalid_token", error_description="The token has expired"`
	}
	return realm + `, error="invalid_token"`
}

const identityKey = "identity"

// identityOf is whom admit let in.
func identityOf(c echo.Context) auth.Identity {
	who, _ := c.Get(identityKey).(auth.Identity)
	return who
}

// callerOf is who asks, in the name of the user that a request names, "" for none. at is where it does.
func callerOf(c echo.Context, named, at string) (auth.Caller, error) {
	who := identityOf(c)
	caller, err := who.For(named)
	switch {
	case errors.Is(err, auth.ErrOtherUser):
		err = errors.Join(err, job.FieldError{Pointer: at, Must: "must be " + who.UserID + ", whose key or token this is"})
	case errors.Is(err, auth.ErrUnnamed):
		err = errors.Join(err, job.FieldError{Pointer: at, Must: "must name a user: this key is a service's"})
	case err == nil:
		note(c, func(a *asker) { a.caller = caller })
	}
	return caller, err
}

// Where a request names a user.
const (
	inBody  = "/userId"
	inQuery = "?userId"
)
