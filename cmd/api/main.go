// Command api will run the api alone, beside others of its kind, on Postgres and Redis. This version checks its
// configuration and says what it lacks: everything runs in `sandpiper up`.
package main

import (
	"fmt"
	"os"

	"sandpiper/internal/config"
)

func main() {
	if _, err := config.Load(os.Environ(), config.RoleAPI); err != nil {
		fmt.Fprintf(os.Stderr, "sandpiper api: the configuration is wrong:\n%v\n", err)
		os.Exit(1)
	}
}
