package claude

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// DefaultBaseURL is where the CLI sends its requests when nothing else is said.
const DefaultBaseURL = "https://api.anthropic.com"

// Endpoint is the Messages API as preflight looks at it.
type Endpoint struct {
	Host    string // without the port: what the log lines name
	Literal bool   // Host is an address and needs no DNS look-up
	URL     string // scheme, host, port and path; no user, no query
}

// hostForm keeps everything out of a host that a shell, nslookup or curl could take for something else.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)

const longestHost = 253 // RFC 1035, as people write it

// ParseEndpoint reads the base URL of the Messages API; "" is DefaultBaseURL. It must be http or https, with a host.
func ParseEndpoint(baseURL string) (Endpoint, error) {
	if baseURL == "" {
		baseURL = DefaultBaseURL
	}
	u, err := url.Parse(baseURL)
	if err != nil {
		return Endpoint{}, fmt.Errorf("base URL of the model API is not a URL") // its text may hold a password
	}
	host := u.Hostname()
	_, err = netip.ParseAddr(host)
	literal := err == nil
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return Endpoint{}, fmt.Errorf("base URL of the model API must begin with http:// or https://")
	case !literal && (len(host) > longestHost || !hostForm.MatchString(host)):
		return Endpoint{}, fmt.Errorf("base URL of the model API must have a host of letters, digits, dots and dashes")
	}
	at := host
	if u.Port() != "" {
		at = net.JoinHostPort(host, u.Port())
	} else if literal && strings.Contains(host, ":") {
		at = "[" + host + "]"
	}
	plain := url.URL{Scheme: u.Scheme, Host: at, Path: u.Path, RawPath: u.RawPath}
	return Endpoint{Host: host, Literal: literal, URL: plain.String()}, nil
}
