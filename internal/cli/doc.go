// Package cli holds what the sandpiper command shows to people: it talks to the HTTP API through package client,
// as any other program would, and never to the rooms behind it.
//
// What is for programs goes to the output, what is for people to the screen (stdout and stderr of the command). Colour
// and anything that moves are for terminals only, and what came out of a sandbox never reaches one with its control
// characters.
package cli
