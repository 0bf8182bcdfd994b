package scripted

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"sandpiper/internal/offline/messages"
)

// Usage counts tokens as the API reports them.
type Usage = messages.Usage

// Answer is what the model does with one request. The zero value is the text "The answer is 4.".
type Answer struct {
	Blocks     []messages.Block // what the model says; nil says "The answer is 4.", an empty list says nothing
	StopReason string           // "" means "tool_use" behind a tool call, else "end_turn"
	Usage      Usage            // all zero means 12 in and 9 out

	Status int         // other than 0 and 200: no message, but this status with Header and Body
	Header http.Header // added to the response
	Body   []byte      // sent as it is, in place of a message

	ErrorEvent     string        // a stream sends this error kind in place of its ending, such as "overloaded_error"
	CutAfterBytes  int           // above 0: the connection breaks after so many bytes of the body
	CutAfterBlocks int           // above 0: the connection breaks after so many whole content blocks
	Stall          bool          // a cut leaves the connection open, and silent, until the caller or the server goes
	Delay          time.Duration // before the first byte, and before each chunk of a stream
	Pieces         int           // bytes per streamed text delta; 0 streams word by word
	Silent         bool          // never answers: the connection stays open until the caller or the server goes
	Linger         time.Duration // before a cut
	Reset          bool          // breaks the connection before the first byte
	Hold           <-chan struct{}
	// Hold delays the answer until the channel is closed, the caller goes or the server closes. nil does not wait.
}

// Text says text.
func Text(text string) Answer {
	return Answer{Blocks: []messages.Block{{Type: "text", Text: text}}}
}

// Tool asks for one call of the tool name. input is anything that encodes to a JSON object.
func Tool(name string, input any) Answer { return Answer{}.AndTool(name, input) }

// Thinking thinks, then says text.
func Thinking(thought, text string) Answer {
	return Answer{Blocks: []messages.Block{{Type: "thinking", Thinking: thought}, {Type: "text", Text: text}}}
}

// Refusal stops for the API's safety reasons, after saying nothing.
func Refusal() Answer { return Answer{Blocks: []messages.Block{}, StopReason: "refusal"} }

// MaxTokens says text and stops because the limit of output tokens is reached.
func MaxTokens(text string) Answer {
	a := Text(text)
	a.StopReason = "max_tokens"
	return a
}

// Empty ends its turn with no content at all; it is paid for all the same.
func Empty() Answer { return Answer{Blocks: []messages.Block{}} }

// Silence accepts the request and never answers.
func Silence() Answer { return Answer{Silent: true} }

// Reset breaks the connection before the first byte of an answer.
func Reset() Answer { return Answer{Reset: true} }

// Held is a, but only once release is closed.
func Held(release <-chan struct{}, a Answer) Answer {
	a.Hold = release
	return a
}

// Raw answers with this status, content type and body, as a proxy in between may do.
func Raw(status int, contentType, body string) Answer {
	return Answer{Status: status, Header: http.Header{"Content-Type": {contentType}}, Body: []byte(body)}
}

// Error is the API's error document with a status, such as Error(529, "overloaded_error", "Overloaded").
func Error(status int, kind, message string) Answer {
	a := Raw(status, "application/json", "")
	a.Body = messages.ErrorJSON(kind, message)
	return a
}

// RateLimited is a 429. after is sent as retry-after, in whole seconds; 0 sends none.
func RateLimited(after time.Duration) Answer {
	a := Error(http.StatusTooManyRequests, "rate_limit_error", "This request would exceed your rate limit.")
	if after > 0 {
		a.Header.Set("Retry-After", strconv.Itoa(int(after/time.Second)))
	}
	return a
}

// Overloaded is a 529.
func Overloaded() Answer { return Error(529, "overloaded_error", "Overloaded") }

// Unauthorized is a 401 for a wrong key.
func Unauthorized() Answer {
	return Error(http.StatusUnauthorized, "authentication_error", "invalid x-api-key")
}

// NoCredit is the 400 of an account without money.
func NoCredit() Answer {
	return Error(http.StatusBadRequest, "invalid_request_error",
		"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.")
}

// AndTool adds one call of a tool.
func (a Answer) AndTool(name string, input any) Answer {
	data, err := json.Marshal(input)
	if err != nil {
		panic("scripted: input of tool " + name + ": " + err.Error())
	}
	return a.and(messages.Block{Type: "tool_use", Name: name, Input: data})
}

// AndText adds one block of text.
func (a Answer) AndText(text string) Answer {
	return a.and(messages.Block{Type: "text", Text: text})
}

func (a Answer) and(b messages.Block) Answer {
	a.Blocks = append(append([]messages.Block{}, a.Blocks...), b)
	return a
}

// Using is a with these token counts.
func (a Answer) Using(u Usage) Answer {
	a.Usage = u
	return a
}

// Slowly is a with a pause before the first byte and before each chunk of a stream.
func (a Answer) Slowly(pause time.Duration) Answer {
	a.Delay = pause
	return a
}

// CutBytes is a, broken off after n bytes of the body.
func (a Answer) CutBytes(n int) Answer {
	a.CutAfterBytes = n
	return a
}

// CutBlocks is a, broken off after n whole content blocks.
func (a Answer) CutBlocks(n int) Answer {
	a.CutAfterBlocks = n
	return a
}

// Lingering is a, with a pause between its last byte and the cut: a reader that learns of the end while it has not yet
// taken up what came before may drop it, as the streams of a browser and of Node do.
func (a Answer) Lingering(pause time.Duration) Answer {
	a.Linger = pause
	return a
}

// Stalling is a, with silence where it would be broken off.
func (a Answer) Stalling() Answer {
	a.Stall = true
	return a
}

// Failing is a, with an error event of this kind in place of the stream's ending.
func (a Answer) Failing(kind string) Answer {
	a.ErrorEvent = kind
	return a
}

// stopReason is why the model stopped, as the API would say it.
func (a Answer) stopReason() string {
	if a.StopReason != "" {
		return a.StopReason
	}
	if n := len(a.Blocks); n > 0 && a.Blocks[n-1].Type == "tool_use" {
		return "tool_use"
	}
	return "end_turn"
}

// reply is a as a message that answers request seq, with ids that are unique in this server.
func (a Answer) reply(model string, seq int) messages.Reply {
	id := strconv.Itoa(seq)
	if a.Blocks == nil {
		a.Blocks = Text("The answer is 4.").Blocks
	}
	if a.Usage == (Usage{}) {
		a.Usage = Usage{InputTokens: 12, OutputTokens: 9}
	}
	blocks := make([]messages.Block, len(a.Blocks))
	for i, b := range a.Blocks {
		if b.Type == "tool_use" && b.ID == "" {
			b.ID = "toolu_" + id + "_" + strconv.Itoa(i)
		}
		blocks[i] = b
	}
	return messages.Reply{ID: "msg_" + id, Model: model, Blocks: blocks, StopReason: a.stopReason(), Usage: a.Usage}
}
