// Package cli holds what the sandpiper command shows to people: it talks to the HTTP API through package client,
// as any other program would, and never to the rooms behind it.
package cli
