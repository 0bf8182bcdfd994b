// Package containertest decides where tests have their Postgres and Redis from, and starts those that come in containers
// (testcontainers-go): a machine with a Docker engine and the images that docker-compose.yml names tests with what operators
// run, where they are built with -tags containers, as scripts/test.sh does; any other one with processes of its own. No image is ever pulled: a test reaches nothing but this machine.
//
// A server that a test takes apart (another's files, a full disk, Sentinels, TLS) is a process either way.
package containertest
