// Package e2e tries the whole of Sandpiper: the API over HTTP and WebSocket, a worker, real sandboxes and the real
// claude command, against a scripted model on loopback. Nothing in it is a fake but the two clouds.
package e2e
