// Command worker will run the worker alone, beside others of its kind, on Postgres and Redis. This version checks its
// configuration and says what it lacks: everything runs in `sandpiper up`.
package main

import (
	"fmt"
	"os"

	"sandpiper/internal/config"
)

func main() {
	if _, err := config.Load(os.Environ(), config.RoleWorker); err != nil {
		fmt.Fprintf(os.Stderr, "sandpiper worker: the configuration is wrong:\n%v\n", err)
		os.Exit(1)
	}
}
