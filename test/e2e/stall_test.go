//go:build long

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// impatient starts the real command with the shortest patience that it keeps to. Told nothing it waits five minutes for
// the next byte of a stream; told five seconds, it gives up after some twenty.
const impatient = `#!/bin/bash
export CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS=5000
exec %q "$@"
`

// TestAStreamThatStalls in the middle of an answer: the real command ends it, what came is paid, and so nobody asks again.
func TestAStreamThatStalls(t *testing.T) {
	h := openTuned(t, []string{
		"SANDPIPER_ISOLATION=none", "SANDPIPER_CLAUDE=" + script(t, fmt.Sprintf(impatient, claudeBinary(t))),
	}, quick, askAgain)
	h.model.Handle(func(scripted.Request) scripted.Answer {
		return scripted.Text(strings.Repeat("word ", 400)).CutBytes(3000).Stalling()
	})
	h.check(t, h.ask(t, client.Submit{Input: "What is 2+2?", Retry: twice}), spent(operator("STREAM_CUT")))
}
