package client_test

import (
	"context"
	"fmt"
	"log"

	"sandpiper/client"
)

// Submit a prompt and watch it until it has ended. A lost connection is not noticed here.
func Example() {
	ctx := context.Background()
	c := client.New("http://127.0.0.1:8787", client.Options{UserID: "user123"})
	id, err := c.Submit(ctx, client.Submit{UserID: "user123", Input: "What is the square root of 16?"})
	if err != nil {
		log.Fatal(err)
	}
	for event, err := range c.Follow(ctx, id, 0) {
		if err != nil {
			log.Fatal(err)
		}
		switch event.Type {
		case client.EventLog:
			fmt.Println(event.Data)
		case client.EventResult:
			fmt.Println("Claude says:", event.Data)
		case client.EventDone:
			fmt.Println("exit code", event.ExitCode)
		}
	}
}
