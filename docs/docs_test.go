// Package docs_test keeps the pages for people true where a program can tell.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// routeFiles register the routes of the local Daytona.
var routeFiles = []string{"../internal/localdaytona/routes.go", "../internal/localdaytona/daemon/toolbox.go"}

var routeText = regexp.MustCompile(`^(GET|HEAD|POST|PUT|PATCH|DELETE) /\S+$`)

// registered are the routes in the source: a mux does not list what it has.
func registered(t *testing.T) (routes []string) {
	t.Helper()
	for _, name := range routeFiles {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
				if route := strings.Trim(text.Value, "\"`"); routeText.MatchString(route) {
					routes = append(routes, route)
				}
			}
			return true
		})
	}
	return routes
}

func TestEveryRouteOfTheLocalDaytonaIsOnItsPage(t *testing.T) {
	page, err := os.ReadFile("local-daytona.md")
	if err != nil {
		t.Fatal(err)
	}
	var offered []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z]+ [^`]+)` \\| (?:faithful|simplified) \\|").FindAllSubmatch(page, -1) {
		offered = append(offered, string(row[1]))
	}
	routes := registered(t)
	if len(routes) < 30 {
		t.Fatalf("only %d routes found in %v: they are registered in another way", len(routes), routeFiles)
	}
	for _, route := range routes {
		if !slices.Contains(offered, route) {
			t.Errorf("%s is served and has no row (faithful or simplified) in docs/local-daytona.md", route)
		}
	}
	for _, route := range offered {
		if !slices.Contains(routes, route) {
			t.Errorf("docs/local-daytona.md offers %s, which is not served", route)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../README.md", "../CHANGELOG.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllSubmatch(text, -1) {
			target := string(found[1])
			file, anchor, into := strings.Cut(target, "#")
			if strings.Contains(target, "://") {
				continue
			}
			at := page
			if file != "" {
				at = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(at); err != nil {
				t.Errorf("%s links to %s: %v", page, target, err)
			} else if into && !slices.Contains(anchors(t, at), anchor) {
				t.Errorf("%s links to %s: no such heading", page, target)
			}
		}
	}
}

// anchors are the headings of a page as a browser addresses them.
func anchors(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			name := strings.ToLower(strings.TrimSpace(heading))
			name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
			all = append(all, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return all
}
