// Package client talks to Sandpiper's HTTP API: it submits prompts, reads jobs and follows their events live.
//
//	c := client.New("http://127.0.0.1:8787", client.Options{})
//	id, err := c.Submit(ctx, client.Submit{UserID: "user123", Input: "What is the square root of 16?"})
//	…
//	for event, err := range c.Follow(ctx, id, 0) {
//		…
//	}
//
// Its types are the messages as they go over the wire; it shares no code with the server, so a program may use an
// older client with a newer server. Fields that it does not know are ignored.
//
// What may be lost on the way is asked again: reads, cancellations, and submissions, which carry an Idempotency-Key
// and so are accepted once however often they are sent. Follow comes back with the last seq that it has given out,
// so that its reader gets every event once, in order, whatever happens to the connection.
package client
