// Package compose starts docker-compose.yml for real, with three workers, and tries it from outside: its tests need a
// Docker engine, so they are built with the tag compose only. `make test-compose` brings the engine and the images.
package compose
