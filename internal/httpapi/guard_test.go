package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
)

// configured is a house that knows one more name and one more origin.
func configured(t *testing.T) *house {
	return newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) {
		o.Hosts = []string{"Sandpiper.example"}
		o.Origins = []string{"https://console.example"}
	})
}

func TestHostMustNameThisMachine(t *testing.T) {
	h := configured(t)
	for name, tc := range map[string]struct {
		host    string
		allowed bool
	}{
		"IPv4 loopback":                 {"127.0.0.1:8787", true},
		"IPv4 loopback, no port":        {"127.0.0.1", true},
		"all of 127/8":                  {"127.9.9.9:1", true},
		"another port":                  {"127.0.0.1:9999", true},
		"IPv6 loopback":                 {"[::1]:8787", true},
		"IPv6 loopback, no port":        {"[::1]", true},
		"mapped loopback":               {"[::ffff:127.0.0.1]:8787", true},
		"localhost":                     {"localhost:8787", true},
		"LOCALHOST with a root dot":     {"LOCALHOST.:8787", true},
		"configured":                    {"sandpiper.example", true},
		"configured, with a port":       {"SANDPIPER.example:8787", true},
		"DNS rebinding":                 {"evil.example:8787", false},
		"a name that begins like ours":  {"localhost.evil.example", false},
		"a name that ends like ours":    {"evil-localhost", false},
		"an address that begins alike":  {"127.0.0.1.evil.example", false},
		"another address":               {"192.168.1.7:8787", false},
		"every address":                 {"0.0.0.0:8787", false},
		"below a configured name":       {"a.sandpiper.example", false},
		"loopback in another base":      {"0x7f000001", false},
		"loopback in too few parts":     {"127.1", false},
		"loopback as somebody's prefix": {"127.0.0.1@evil.example", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/healthz", "/api/jobs", "/ws", "/nowhere", "/"} {
				a := h.get(path, "Host", tc.host)
				if tc.host == "127.0.0.1@evil.example" && a.status == http.StatusBadRequest {
					continue // net/http refuses it first
				}
				if tc.allowed && a.status == http.StatusForbidden {
					t.Errorf("%s on %s: %d %s", tc.host, path, a.status, a.body)
				}
				if !tc.allowed {
					wantProblem(t, a, http.StatusForbidden, job.HostNotAllowed)
				}
			}
		})
	}
}

func TestOriginMustBeOurs(t *testing.T) {
	h := configured(t)
	for name, tc := range map[string]struct {
		origin, host string
		allowed      bool
	}{
		"a page of ours":               {"", "", true},
		"another port on loopback":     {"http://localhost:3000", "", true},
		"IPv6 loopback":                {"http://[::1]:5173", "", true},
		"https on loopback":            {"https://127.0.0.1", "", true},
		"the configured host":          {"https://sandpiper.example", "sandpiper.example", true},
		"configured":                   {"https://CONSOLE.example", "", true},
		"a page elsewhere":             {"https://evil.example", "", false},
		"a sandboxed frame":            {"null", "", false},
		"an empty one":                 {" ", "", false},
		"configured, other scheme":     {"http://console.example", "", false},
		"configured, other port":       {"https://console.example:8443", "", false},
		"a host that is not asked":     {"https://sandpiper.example", "", false},
		"a name that begins alike":     {"http://localhost.evil.example", "", false},
		"loopback as a user":           {"http://localhost@evil.example", "", false},
		"a file":                       {"file://", "", false},
		"a file on loopback":           {"file://localhost", "", false},
		"an extension":                 {"chrome-extension://localhost", "", false},
		"a path is not of an origin":   {"http://localhost/x", "", false},
		"two origins in one":           {"http://localhost http://evil.example", "", false},
		"two origins, one is not ours": {"http://localhost,https://evil.example", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			origin, host := tc.origin, tc.host
			if origin == "" {
				origin = h.url
			}
			if host == "" {
				host = h.addr
			}
			for _, a := range []answer{
				h.get("/api/jobs", "Origin", origin, "Host", host),
				h.post("/api/knowledge/process", `{"userId":"ann","input":"hi"}`, "Origin", origin, "Host", host),
				h.get("/ws", "Origin", origin, "Host", host),
			} {
				if tc.allowed && a.status == http.StatusForbidden {
					t.Errorf("%d %s", a.status, a.body)
				}
				if !tc.allowed {
					wantProblem(t, a, http.StatusForbidden, job.OriginNotAllowed)
					if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
						t.Errorf("may be read by %s", got)
					}
				}
			}
		})
	}
}

// handshake is the headers of a WebSocket handshake, and more.
func handshake(more ...string) []string {
	return append([]string{
		"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
	}, more...)
}

func TestAPageElsewhereCannotSubmitWithoutPreflight(t *testing.T) {
	h := newHouse(t)
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		body := `{"userId":"ann","input":"hi"}`
		wantProblem(t, h.post("/api/knowledge/process", body, "Content-Type", media, "Origin", "https://evil.example"),
			http.StatusForbidden, job.OriginNotAllowed)
		wantProblem(t, h.post("/api/knowledge/process", body, "Content-Type", media), // a browser too old to say Origin
			http.StatusUnsupportedMediaType, job.UnsupportedMediaType)
	}
	if jobs, _ := h.stored(); jobs != 0 {
		t.Errorf("%d jobs are stored", jobs)
	}
}

func TestAllowedOriginsMayReadTheAnswer(t *testing.T) {
	h := newHouse(t)
	const origin = "http://localhost:3000"
	a := h.do(http.MethodOptions, "/api/knowledge/process", "", "Origin", origin, "Access-Control-Request-Method", "POST")
	if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != origin ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	if got := h.get("/api/jobs", "Origin", origin).header.Get("Access-Control-Allow-Origin"); got != origin {
		t.Errorf("a list may be read by %q, want %q", got, origin)
	}
	if a := h.do(http.MethodOptions, "/api/jobs", ""); a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("OPTIONS of nobody's page: %d %v", a.status, a.header)
	}
	wantProblem(t, h.do(http.MethodOptions, "/api/jobs", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"),
		http.StatusForbidden, job.OriginNotAllowed)
}

func TestASocketOfAPageElsewhereIsRefused(t *testing.T) {
	h := newHouse(t)
	url := strings.Replace(h.url, "http", "ws", 1) + "/ws"
	for origin, allowed := range map[string]bool{"https://evil.example": false, "null": false, "http://localhost:3000": true} {
		conn, res, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
		if (err == nil) != allowed {
			t.Errorf("from %s: %v, %v", origin, res, err)
		}
		if conn != nil {
			conn.CloseNow()
		}
	}
}
