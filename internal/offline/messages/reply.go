package messages

import (
	"encoding/json"
	"unicode/utf8"
)

// Usage counts tokens as the API reports them.
type Usage struct {
	InputTokens              int64 `json:"input_tokens"`
	OutputTokens             int64 `json:"output_tokens"`
	CacheReadInputTokens     int64 `json:"cache_read_input_tokens"`
	CacheCreationInputTokens int64 `json:"cache_creation_input_tokens"`
}

// Reply is one answer of a model.
type Reply struct {
	ID         string
	Model      string
	Blocks     []Block
	StopReason string
	Usage      Usage
}

// Frame is one server-sent event of a streamed answer.
type Frame struct {
	Event string
	Data  []byte
	Block int // how many content blocks are complete once this frame has been sent
}

// Bytes is the frame as it goes over the wire.
func (f Frame) Bytes() []byte {
	return append(append([]byte("event: "+f.Event+"\ndata: "), f.Data...), "\n\n"...)
}

// message is the API's message object. Content and StopReason are any: both are null or empty in message_start.
func (r Reply) message(content any, stop any, u Usage) map[string]any {
	return map[string]any{
		"id": r.ID, "type": "message", "role": "assistant", "model": r.Model,
		"content": content, "stop_reason": stop, "stop_sequence": nil, "usage": u,
	}
}

// JSON is the whole answer as one document, for a caller that did not ask for a stream.
func (r Reply) JSON() []byte {
	content := make([]map[string]any, len(r.Blocks))
	for i, b := range r.Blocks {
		content[i] = b.whole()
	}
	return mustJSON(r.message(content, r.StopReason, r.Usage))
}

// Frames is the answer as a stream: message_start, each block with its deltas, message_delta, message_stop. pieces
// cuts a text into the deltas that it is sent in; nil sends it in one.
func (r Reply) Frames(pieces func(string) []string) []Frame {
	start := r.Usage
	start.OutputTokens = min(1, start.OutputTokens) // the API reports what was written so far
	frames := []Frame{frame("message_start", 0, map[string]any{"message": r.message([]any{}, nil, start)})}
	for i, b := range r.Blocks {
		frames = append(frames, b.frames(i, pieces)...)
	}
	return append(frames,
		frame("message_delta", len(r.Blocks), map[string]any{
			"delta": map[string]any{"stop_reason": r.StopReason, "stop_sequence": nil}, "usage": r.Usage,
		}),
		frame("message_stop", len(r.Blocks), nil))
}

// ErrorFrame is an error in the middle of a stream, such as kind "overloaded_error".
func ErrorFrame(kind, message string) Frame {
	return Frame{Event: "error", Data: ErrorJSON(kind, message)}
}

// ErrorJSON is the API's error document.
func ErrorJSON(kind, message string) []byte {
	return mustJSON(map[string]any{"type": "error", "error": map[string]any{"type": kind, "message": message}})
}

// whole is the block as it stands in a finished message.
func (b Block) whole() map[string]any {
	switch b.Type {
	case "tool_use":
		return map[string]any{"type": b.Type, "id": b.ID, "name": b.Name, "input": b.input()}
	case "thinking":
		return map[string]any{"type": b.Type, "thinking": b.Thinking, "signature": signature}
	default:
		return map[string]any{"type": "text", "text": b.Text}
	}
}

// signature stands where the real API signs its thinking.
const signature = "c3RhbmQtaW4="

// frames are the events of one block: its start (empty), its deltas, its end.
func (b Block) frames(index int, pieces func(string) []string) []Frame {
	var start map[string]any
	var deltas []map[string]any
	switch b.Type {
	case "tool_use":
		start = map[string]any{"type": b.Type, "id": b.ID, "name": b.Name, "input": map[string]any{}}
		deltas = append(deltas, map[string]any{"type": "input_json_delta", "partial_json": string(b.input())})
	case "thinking":
		start = map[string]any{"type": b.Type, "thinking": "", "signature": ""}
		for _, p := range cut(b.Thinking, pieces) {
			deltas = append(deltas, map[string]any{"type": "thinking_delta", "thinking": p})
		}
		deltas = append(deltas, map[string]any{"type": "signature_delta", "signature": signature})
	default:
		start = map[string]any{"type": "text", "text": ""}
		for _, p := range cut(b.Text, pieces) {
			deltas = append(deltas, map[string]any{"type": "text_delta", "text": p})
		}
	}
	frames := []Frame{frame("content_block_start", index, map[string]any{"index": index, "content_block": start})}
	for _, d := range deltas {
		frames = append(frames, frame("content_block_delta", index, map[string]any{"index": index, "delta": d}))
	}
	return append(frames, frame("content_block_stop", index+1, map[string]any{"index": index}))
}

func (b Block) input() json.RawMessage {
	if len(b.Input) == 0 {
		return json.RawMessage("{}")
	}
	return b.Input
}

func cut(text string, pieces func(string) []string) []string {
	if pieces == nil || text == "" {
		return []string{text}
	}
	return pieces(text)
}

func frame(event string, blocks int, fields map[string]any) Frame {
	data := map[string]any{"type": event}
	for k, v := range fields {
		data[k] = v
	}
	return Frame{Event: event, Data: mustJSON(data), Block: blocks}
}

// mustJSON encodes values that this package has built itself, of types that cannot fail to encode; a tool input
// that is not JSON is the caller's mistake and stops the program in the test that made it.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("messages: " + err.Error())
	}
	return data
}

// Words cuts text behind each blank or line break, so that the pieces together are exactly the text. A piece is
// at most 64 bytes and a character more, and never ends inside a character.
func Words(text string) []string {
	var words []string
	begin := 0
	for end := 0; end < len(text); {
		c, size := utf8.DecodeRuneInString(text[end:])
		end += size
		if c == ' ' || c == '\n' || end-begin >= 64 || end == len(text) {
			words = append(words, text[begin:end])
			begin = end
		}
	}
	return words
}
