// Command claude installs the pinned claude for the tests, as `sandpiper install-claude` does, and prints its path.
// It is built in a second, where the whole program takes a minute.
package main

import (
	"context"
	"fmt"
	"os"

	"sandpiper/snapshot"
)

func main() {
	path, err := snapshot.Install(context.Background(), ".sandpiper", os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
