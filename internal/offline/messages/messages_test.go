package messages_test

import (
	"encoding/json"
	"strings"
	"testing"

	"sandpiper/internal/offline/messages"
)

func TestPromptIsTheLastTextOfTheLastUserMessage(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"a plain string":                {`{"messages":[{"role":"user","content":"a"}]}`, "a"},
		"behind a reminder":             {`{"messages":[{"role":"user","content":[{"type":"text","text":"r"},{"type":"text","text":"p"}]}]}`, "p"},
		"before a system message":       {`{"messages":[{"role":"user","content":"p"},{"role":"system","content":"s"}]}`, "p"},
		"before a tool result":          {`{"messages":[{"role":"user","content":"p"},{"role":"user","content":[{"type":"tool_result","content":"x"}]}]}`, "p"},
		"there is none":                 {`{"messages":[]}`, ""},
		"escapes are read, not shown":   {`{"messages":[{"role":"user","content":"\u0000\n\ud83d\udc26"}]}`, "\x00\n🐦"},
		"an image does not get in away": {`{"messages":[{"role":"user","content":[{"type":"text","text":"p"},{"type":"image","source":{}}]}]}`, "p"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := messages.Parse([]byte(tc.body))
			if err != nil || r.Prompt() != tc.want {
				t.Errorf("Prompt of %s = %q (%v), want %q", tc.body, r.Prompt(), err, tc.want)
			}
		})
	}
}

func TestWordsJoinToTheText(t *testing.T) {
	for _, text := range []string{"", "a", "a b\nc ", " ", strings.Repeat("é", 200), "bad \xff\xfe utf8"} {
		if got := strings.Join(messages.Words(text), ""); got != text {
			t.Errorf("Words(%q) joins to %q", text, got)
		}
	}
}

func TestFramesAddUpToTheReply(t *testing.T) {
	reply := messages.Reply{
		ID: "msg_1", Model: "m", StopReason: "tool_use", Usage: messages.Usage{InputTokens: 3, OutputTokens: 7},
		Blocks: []messages.Block{
			{Type: "thinking", Thinking: "let me see"},
			{Type: "text", Text: "one two\nthree é"},
			{Type: "tool_use", ID: "toolu_1", Name: "Bash", Input: json.RawMessage(`{"command":"ls"}`)},
		},
	}
	var order []string
	var text, thinking, input string
	blocks := 0
	for _, f := range reply.Frames(messages.Words) {
		if len(order) == 0 || order[len(order)-1] != f.Event {
			order = append(order, f.Event)
		}
		var data struct {
			Type  string
			Delta struct {
				Text     string
				Thinking string
				Partial  string `json:"partial_json"`
			}
		}
		if err := json.Unmarshal(f.Data, &data); err != nil || data.Type != f.Event || f.Block < blocks {
			t.Fatalf("%s: %v, block %d after %d", f.Bytes(), err, f.Block, blocks)
		}
		blocks = f.Block
		text, thinking, input = text+data.Delta.Text, thinking+data.Delta.Thinking, input+data.Delta.Partial
	}
	block := "content_block_start content_block_delta content_block_stop "
	if got, want := strings.Join(order, " "), "message_start "+block+block+block+"message_delta message_stop"; got != want {
		t.Errorf("order %s\nwant %s", got, want)
	}
	if text != reply.Blocks[1].Text || thinking != reply.Blocks[0].Thinking || input != string(reply.Blocks[2].Input) || blocks != 3 {
		t.Errorf("the deltas say %q, %q, %q in %d blocks", text, thinking, input, blocks)
	}
}
