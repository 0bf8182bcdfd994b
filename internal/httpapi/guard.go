package httpapi

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// guard keeps web pages from elsewhere away, also where keys are needed: what a page cannot send, it cannot try. Three roads lead there from a browser: a page
// whose own name resolves to 127.0.0.1 (DNS rebinding: seen in Host), a page that sends a request across origins
// (seen in Origin), and one whose request needs no preflight (a form, or text/plain: seen in Content-Type).
type guard struct {
	hosts   []string // lower case, with or without a port
	origins []string // lower case, scheme://host[:port]
	keyed   bool     // callers need keys, so that others than loopback's may call
}

func newGuard(hosts, origins []string, keyed bool) guard {
	lower := func(in []string) []string {
		out := make([]string, len(in))
		for i, s := range in {
			out[i] = strings.TrimSuffix(strings.ToLower(s), "/")
		}
		return out
	}
	return guard{hosts: lower(hosts), origins: lower(origins), keyed: keyed}
}

// wrap is the middleware. It comes before routing, so that it covers every path, known or not.
func (g guard) wrap(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !g.hostAllowed(r.Host) {
			return errHost
		}
		for _, origin := range r.Header.Values(echo.HeaderOrigin) {
			if !g.originAllowed(origin, r.Host) {
				return errOrigin
			}
		}
		if preflight := crossOrigin(c); preflight {
			return c.NoContent(http.StatusNoContent)
		}
		if hasBody(r) && !isJSON(r) && !(takesLines(r) && isLines(r)) {
			return errMediaType
		}
		return next(c)
	}
}

// crossOrigin tells a browser that a page of an allowed origin may read the answer (CORS), and reports whether the
// request only asks that.
func crossOrigin(c echo.Context) (preflight bool) {
	r, h := c.Request(), c.Response().Header()
	h.Add(echo.HeaderVary, echo.HeaderOrigin)
	origin := r.Header.Get(echo.HeaderOrigin)
	if origin == "" {
		return false
	}
	h.Set(echo.HeaderAccessControlAllowOrigin, origin)
	h.Set(echo.HeaderAccessControlExposeHeaders, "Location, Idempotent-Replayed, Retry-After, WWW-Authenticate, "+echo.HeaderXRequestID)
	if r.Method != http.MethodOptions || r.Header.Get(echo.HeaderAccessControlRequestMethod) == "" {
		return false
	}
	h.Set(echo.HeaderAccessControlAllowMethods, "GET, HEAD, POST")
	h.Set(echo.HeaderAccessControlAllowHeaders, "Content-Type, Idempotency-Key, Last-Event-ID, Authorization, "+keyHeader)
	return true
}

// hostAllowed asks for a name that is ours. With keys any address will do: who calls one, such as a probe or a scraper of
// a cluster, asked no resolver, and rebinding is a lie of a resolver.
func (g guard) hostAllowed(hostport string) bool {
	host := strings.ToLower(hostport)
	if _, err := netip.ParseAddr(hostOf(host)); err == nil && g.keyed {
		return true
	}
	return loopback(hostOf(host)) || slices.Contains(g.hosts, host) || slices.Contains(g.hosts, hostOf(host))
}

// originAllowed expects an allowed host: a page of that host is ours.
func (g guard) originAllowed(origin, host string) bool {
	origin = strings.ToLower(origin)
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || origin != u.Scheme+"://"+u.Host {
		return false // "null" is a sandboxed frame or a file: anybody's
	}
	return loopback(hostOf(u.Host)) || u.Host == strings.ToLower(host) || slices.Contains(g.origins, origin)
}

// hostOf cuts the port, the brackets of an IPv6 address and a root dot off a host.
func hostOf(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
}

// loopback reports whether host can only mean this machine: a browser asks no resolver about it.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// hasBody reports whether a request brings a body. A body whose length is unknown (-1) may still be empty.
func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// isJSON reports whether the body is declared as plain JSON in UTF-8.
func isJSON(r *http.Request) bool { return declared(r, "application/json") }

// isLines reports whether it is declared as lines of JSON. Like JSON, no form can send that.
func isLines(r *http.Request) bool { return declared(r, "application/jsonl", "application/x-ndjson") }

// takesLines reports whether the path takes lines of JSON.
func takesLines(r *http.Request) bool { return r.URL.Path == batchesPath }

func declared(r *http.Request, as ...string) bool {
	types := r.Header.Values(echo.HeaderContentType)
	if len(types) != 1 || r.Header.Get(echo.HeaderContentEncoding) != "" {
		return false
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil || !slices.Contains(as, media) {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}
