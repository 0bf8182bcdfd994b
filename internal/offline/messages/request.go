package messages

import (
	"encoding/json"
	"fmt"
)

// Request is the part of a POST /v1/messages body that a stand-in model looks at.
type Request struct {
	Model    string          `json:"model"`
	Stream   bool            `json:"stream"`
	System   json.RawMessage `json:"system"` // a string or a list of blocks
	Messages []Message       `json:"messages"`
	Tools    []Tool          `json:"tools"`
}

// Message is one turn of a conversation. Role is "user" or "assistant"; Claude Code 2.1.330 also sends "system"
// in the middle of the list, after the prompt.
type Message struct {
	Role    string `json:"role"`
	Content Blocks `json:"content"`
}

// Tool is a tool that the caller offers; only its name matters here.
type Tool struct {
	Name string `json:"name"`
}

// Block is one piece of content, in a request or in an answer. Type says which of the other fields count:
// "text", "thinking", "tool_use" or "tool_result".
type Block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text,omitempty"`
	Thinking  string          `json:"thinking,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	ToolUseID string          `json:"tool_use_id,omitempty"`
	Content   Blocks          `json:"content,omitempty"`
	IsError   bool            `json:"is_error,omitempty"`
}

// Blocks is a list of content. The API allows a plain string in place of a list: it is read as one text block.
type Blocks []Block

// UnmarshalJSON reads a list of blocks or a plain string.
func (b *Blocks) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err == nil {
		*b = Blocks{{Type: "text", Text: s}}
		return nil
	}
	var list []Block
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("content is neither a string nor a list of blocks: %w", err)
	}
	*b = list
	return nil
}

// Parse reads a request body.
func Parse(body []byte) (Request, error) {
	var r Request
	if err := json.Unmarshal(body, &r); err != nil {
		return Request{}, fmt.Errorf("read messages request: %w", err)
	}
	return r, nil
}

// Texts are the text blocks of one message, in order.
func (m Message) Texts() []string {
	var texts []string
	for _, b := range m.Content {
		if b.Type == "text" {
			texts = append(texts, b.Text)
		}
	}
	return texts
}

// Prompts are what the user wrote, oldest first: the last text block of each user message that has one. Claude
// Code 2.1.330 puts its own reminders in blocks before the prompt, never behind it.
func (r Request) Prompts() []string {
	var prompts []string
	for _, m := range r.Messages {
		if m.Role != "user" {
			continue
		}
		if texts := m.Texts(); len(texts) > 0 {
			prompts = append(prompts, texts[len(texts)-1])
		}
	}
	return prompts
}

// Prompt is the newest of Prompts, byte for byte; "" when there is none.
func (r Request) Prompt() string {
	if p := r.Prompts(); len(p) > 0 {
		return p[len(p)-1]
	}
	return ""
}

// ToolResults are the answers of the caller's tools in the newest user message, in order.
func (r Request) ToolResults() []Block {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role != "user" {
			continue
		}
		var results []Block
		for _, b := range r.Messages[i].Content {
			if b.Type == "tool_result" {
				results = append(results, b)
			}
		}
		return results
	}
	return nil
}
