// Command testsum reads `go test -json` on stdin and writes what a person wants to see of it: one line per package
// while it goes, the whole output of what failed (of every test, with -v), and at the end one line of counts. It exits 1 when a test failed
// or was skipped, a package did not build or died, or nothing ran at all.
package main

import (
	"fmt"
	"os"
	"slices"
)

func main() {
	s := newSummary(os.Stdout, slices.Contains(os.Args[1:], "-v"))
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	if !s.close() {
		os.Exit(1)
	}
}
