package config

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
)

// Markdown is docs/config.md: one row a variable, made from the struct tags.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\n")
	b.WriteString("Sandpiper reads the environment. This page is made from the config struct (`go test ./internal/config -update`\n")
	b.WriteString("writes it, and a test fails when it is stale). A wrong value stops the start, with every fault listed at once.\n\n")
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if f.Tag.Get("env") == "" {
			continue
		}
		def := cmp.Or(f.Tag.Get("envDefault"), f.Tag.Get("default"), "none")
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Tag.Get("env"), def, f.Tag.Get("doc"))
	}
	b.WriteString("\nValues of variables that hold a key or a password are never printed, logged or stored.\n")
	return b.String()
}
