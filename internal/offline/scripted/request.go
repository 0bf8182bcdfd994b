package scripted

import (
	"net/http"
	"slices"
	"time"

	"sandpiper/internal/offline/messages"
)

// Request is one POST to …/v1/messages as it arrived.
type Request struct {
	Seq    int // from 1, in the order of arrival
	At     time.Time
	Path   string // whole, with what stood before /v1/messages
	Header http.Header
	Body   []byte // byte for byte
	Asked  messages.Request
}

// Prompt is what the user wrote last, byte for byte as the model sees it.
func (r Request) Prompt() string { return r.Asked.Prompt() }

// LastUserText is Prompt under the name of what it reads: the last text block of the last user message that has one.
func (r Request) LastUserText() string { return r.Asked.Prompt() }

// Prompts are all texts that the user wrote in this conversation, oldest first.
func (r Request) Prompts() []string { return r.Asked.Prompts() }

// Model is the model that was asked for.
func (r Request) Model() string { return r.Asked.Model }

// Key is the API key that came with the request, from either header; "" without one.
func (r Request) Key() string {
	if k := r.Header.Get("X-Api-Key"); k != "" {
		return k
	}
	return r.Header.Get("Authorization")
}

// Tools are the names of the tools that the model may call, sorted.
func (r Request) Tools() []string {
	names := make([]string, 0, len(r.Asked.Tools))
	for _, tool := range r.Asked.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names
}

// ToolResults are the answers of the caller's tools in the newest user message: their text, and whether each is
// an error (a refused call is one).
func (r Request) ToolResults() []ToolResult {
	var results []ToolResult
	for _, b := range r.Asked.ToolResults() {
		result := ToolResult{ID: b.ToolUseID, IsError: b.IsError}
		for _, c := range b.Content {
			result.Text += c.Text
		}
		results = append(results, result)
	}
	return results
}

// ToolResult is what the caller's tool answered.
type ToolResult struct {
	ID      string
	Text    string
	IsError bool
}
