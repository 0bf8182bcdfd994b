package daemon

import (
	"net/http"
	"strconv"
	"strings"
)

// form is how much of the protocol's newer output shapes a client understands. It says so by its SDK version.
type form int

const (
	plain  form = iota // no markers, text logs: no version, or before 0.27.0
	marked             // markers in output and in text logs: 0.27.0 to 0.166.x, and what is no version at all
	split              // stdout and stderr apart, JSON logs: from 0.167.0, and development builds
)

const versionProtocol = "X-Daytona-SDK-Version~" // how a browser's WebSocket says its version

func formOf(r *http.Request) form {
	version := r.Header.Get("X-Daytona-SDK-Version")
	if p := versionSubprotocol(r); version == "" && p != "" {
		version = strings.TrimPrefix(p, versionProtocol)
	}
	switch {
	case version == "" && r.Header.Get("X-Daytona-Split-Output") == "true":
		return marked
	case version == "":
		return plain
	case strings.Contains(version, "dev"):
		return split
	}
	minor, ok := minorOf(version)
	switch {
	case !ok:
		return marked
	case minor >= 167:
		return split
	case minor >= 27:
		return marked
	default:
		return plain
	}
}

// minorOf reads major.minor.patch[-pre][+build]; a major above 0 counts as a very high minor, and a pre-release as
// the one before (semver 2.0.0, §11).
func minorOf(version string) (int, bool) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "+")
	version, pre, _ := strings.Cut(version, "-")
	parts := strings.Split(version, ".")
	if len(parts) != 3 {
		return 0, false
	}
	var n [3]int
	for i, part := range parts {
		var err error
		if n[i], err = strconv.Atoi(part); err != nil || n[i] < 0 {
			return 0, false
		}
	}
	if n[0] > 0 {
		return 1 << 20, true
	}
	if pre != "" && n[2] == 0 {
		return n[1] - 1, true
	}
	return n[1], true
}

func versionSubprotocol(r *http.Request) string {
	for _, header := range r.Header.Values("Sec-WebSocket-Protocol") {
		for _, p := range strings.Split(header, ",") {
			if p = strings.TrimSpace(p); strings.HasPrefix(p, versionProtocol) {
				return p
			}
		}
	}
	return ""
}
