package monitor

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
)

var inline = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// policy is the Content-Security-Policy of the pages. Nothing from elsewhere is loaded: not the web fonts that asynqmon
// names, without which a browser takes its own, and no script but those that came with it. The two that stand in the page
// itself are named by their hashes, made from the page as it is.
//
// The style sheets of its widgets are written by script, as text: style-src cannot name them.
func policy(pages http.Handler) string {
	scripts := []string{"'self'"}
	for _, found := range inline.FindAllStringSubmatch(page(pages), -1) {
		sum := sha256.Sum256([]byte(found[1]))
		scripts = append(scripts, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	return strings.Join([]string{
		"default-src 'none'", "script-src " + strings.Join(scripts, " "), "style-src 'unsafe-inline'", "img-src 'self' data:",
		"connect-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	}, "; ")
}
