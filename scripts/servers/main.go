// Command servers says where the tests of this machine have Postgres and Redis from: the word for SANDPIPER_TEST_SERVERS on
// stdout, and why on stderr.
package main

import (
	"fmt"
	"os"

	"sandpiper/internal/containertest"
)

func main() {
	choice, err := containertest.Choose()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "Postgres and Redis:", choice)
	if choice.Containers {
		fmt.Println("containers")
	} else {
		fmt.Println("processes")
	}
}
