package httpapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"sandpiper/internal/job"
)

func init() {
	list := func(n int, entry string) string { return "[" + strings.Repeat(entry+",", n-1) + entry + "]" }
	maps.Copy(badBodies, map[string]bad{
		"a retry that is a number":               invalid(with(`"retry":3`), "/retry"),
		"a retry that is null":                   invalid(with(`"retry":null`), "/retry"),
		"a retry that is a list":                 invalid(with(`"retry":[3]`), "/retry"),
		"no launch at all":                       invalid(with(`"retry":{"maxAttempts":0}`), "/retry/maxAttempts"),
		"launches over the limit":                invalid(with(`"retry":{"maxAttempts":11}`), "/retry/maxAttempts"),
		"launches that overflow":                 invalid(with(`"retry":{"maxAttempts":18446744073709551617}`), "/retry/maxAttempts"),
		"half a launch":                          invalid(with(`"retry":{"maxAttempts":1.5}`), "/retry/maxAttempts"),
		"a wish to pay again that is a word":     invalid(with(`"retry":{"afterSpend":"yes"}`), "/retry/afterSpend"),
		"a retry with a field of no meaning":     invalid(with(`"retry":{"attempts":3}`), "/retry/attempts"),
		"a stream that is a word":                invalid(with(`"stream":"yes"`), "/stream"),
		"continue without saying what":           invalid(with(`"continue":true`), "/continue"),
		"an empty conversation":                  invalid(with(`"conversationId":""`), "/conversationId"),
		"a conversation of no known form":        invalid(with(`"conversationId":"a b"`), "/conversationId"),
		"a stream that is null":                  invalid(with(`"stream":null`), "/stream"),
		"a fresh sandbox that is a word":         invalid(with(`"freshSandbox":"yes"`), "/freshSandbox"),
		"a fresh sandbox that is named":          invalid(with(`"freshSandbox":true,"sandboxId":"sbx_1"`), "/freshSandbox"),
		"a fresh sandbox to go on in":            invalid(with(`"freshSandbox":true,"conversationId":"6b1f3f9e-0000-4000-8000-000000000000"`), "/freshSandbox"),
		"no turns":                               invalid(with(`"maxTurns":0`), "/maxTurns"),
		"turns below none":                       invalid(with(`"maxTurns":-1`), "/maxTurns"),
		"turns over the limit":                   invalid(with(`"maxTurns":1001`), "/maxTurns"),
		"turns that overflow":                    invalid(with(`"maxTurns":18446744073709551617`), "/maxTurns"),
		"half a turn":                            invalid(with(`"maxTurns":1.5`), "/maxTurns"),
		"an empty system prompt":                 invalid(with(`"systemPrompt":""`), "/systemPrompt"),
		"a system prompt with U+0000":            invalid(with(`"systemPrompt":"a\u0000b"`), "/systemPrompt"),
		"a system prompt over the limit":         invalid(with(`"appendSystemPrompt":"`+strings.Repeat("x", job.MaxSystemPrompt+1)+`"`), "/appendSystemPrompt"),
		"tools that are a word":                  invalid(with(`"allowedTools":"Read,Bash"`), "/allowedTools"),
		"tools that are null":                    invalid(with(`"allowedTools":null`), "/allowedTools"),
		"a tool that is a number":                invalid(with(`"allowedTools":["Read",7]`), "/allowedTools/1"),
		"a tool that jobs do not have":           invalid(with(`"allowedTools":["Read","Task"]`), "/allowedTools/1"),
		"every tool":                             invalid(with(`"allowedTools":["*"]`), "/allowedTools/0"),
		"a tool with a pattern that would add":   invalid(with(`"allowedTools":["Bash(rm:*)"]`), "/allowedTools/0"),
		"too many tools":                         invalid(with(`"allowedTools":`+list(65, `"Read"`)), "/allowedTools"),
		"a misspelt tool":                        invalid(with(`"disallowedTools":["bash"]`), "/disallowedTools/0"),
		"a denied pattern with a comma":          invalid(with(`"disallowedTools":["Bash(a,Read)"]`), "/disallowedTools/0"),
		"a denied pattern that is not closed":    invalid(with(`"disallowedTools":["Bash(a"]`), "/disallowedTools/0"),
		"a denied tool of more bytes than taken": invalid(with(`"disallowedTools":["Bash(`+strings.Repeat("x", 256)+`)"]`), "/disallowedTools/0"),
	})
}

func TestOptionsAreKept(t *testing.T) {
	h := newHouse(t)
	for _, field := range []string{
		`"stream":true`, `"stream":false`, `"freshSandbox":true`, `"freshSandbox":false`, `"maxTurns":1`, `"maxTurns":1000`, `"systemPrompt":"You are Piet."`,
		`"appendSystemPrompt":"` + strings.Repeat("x", job.MaxSystemPrompt) + `"`, `"allowedTools":[]`,
		`"allowedTools":["Read","Bash"]`, `"disallowedTools":["Bash(grep:*)","WebFetch"]`,
		`"retry":{}`, `"retry":{"maxAttempts":10}`, `"retry":{"afterSpend":true}`, `"retry":{"maxAttempts":1,"afterSpend":false}`,
	} {
		t.Run(fmt.Sprintf("%.40s", field), func(t *testing.T) {
			if a := h.post("/api/knowledge/process", with(field)); a.status != http.StatusAccepted {
				t.Errorf("POST = %d %s", a.status, a.body)
			}
		})
	}
}
