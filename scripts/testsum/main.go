// Command testsum reads `go test -json` on stdin and writes what a person wants to see of it: one line per package
// while it goes, the whole output of what failed, and at the end one line of counts. It exits 1 when a test failed
// or was skipped, a package did not build or died, or nothing ran at all.
package main

import (
	"fmt"
	"os"
)

func main() {
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	if !s.close() {
		os.Exit(1)
	}
}
