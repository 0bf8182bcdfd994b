// Command standin stands in for the claude command in the chaos test. It speaks the command's stream-json, costs nothing,
// and tells a record outside of the product, over loopback, when it was launched, when it asks and when it has answered.
//
// It must never tell the record less than it did: what it prints comes after what it has told, but for the line that says
// that it asks, which the real command prints before it does.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// order is what the first line of a prompt asks for.
type order struct {
	Job     string `json:"job"`     // how the record calls it
	Millis  int    `json:"millis"`  // how long the answer takes
	Words   int    `json:"words"`   // of the answer
	Retries int    `json:"retries"` // repetitions of the request that are told of: a 529 would close the lane of all others
	Free    int    `json:"free"`    // so many launches fail before they have asked anything
	Key     bool   `json:"key"`     // the answer holds the API key
}

// told is what the record hears.
type told struct {
	Job    string `json:"job"`
	Run    string `json:"run"`
	Self   string `json:"self"`   // this process, among all that there ever are
	Prompt string `json:"prompt"` // SHA-256
	Answer string `json:"answer"`
}

func main() {
	for _, arg := range os.Args[1:] {
		if arg == "--version" {
			fmt.Println("2.1.330 (Claude Code)")
			return
		}
	}
	prompt, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	var o order
	first, _, _ := bytes.Cut(prompt, []byte("\n"))
	if err := json.Unmarshal(first, &o); err != nil {
		fail(fmt.Errorf("the prompt's first line: %w", err))
	}
	sum := sha256.Sum256(prompt)
	r := record{base: os.Getenv("ANTHROPIC_BASE_URL"), told: told{
		Job: o.Job, Run: os.Getenv("SANDPIPER_RUN"), Self: rand.Text(), Prompt: hex.EncodeToString(sum[:]),
	}}
	launch := r.tell("launched")
	session := flag("session-id")
	say(`{"type":"system","subtype":"init","session_id":%q,"model":%q,"claude_code_version":"2.1.330","tools":[]}`, session, model)
	if launch <= o.Free {
		fmt.Fprintln(os.Stderr, "nothing was asked")
		os.Exit(1)
	}
	say(`{"type":"system","subtype":"status","status":"requesting","session_id":%q}`, session)
	r.tell("asked")
	answer(o, session, &r)
}

const model = "claude-sonnet-5-5"

// words are what an answer of o is made of. The checks make the same.
func words(o order) []string {
	said := []string{"The answer to " + o.Job + " is"}
	for i := range o.Words {
		said = append(said, fmt.Sprintf(" %d", i))
	}
	if o.Key {
		said = append(said, " and the key is "+os.Getenv("ANTHROPIC_API_KEY")+" ")
	}
	return said
}

// answer writes the answer word by word over the time that it is to take, and ends with the result.
func answer(o order, session string, r *record) {
	said := words(o)
	pause := time.Duration(o.Millis) * time.Millisecond / time.Duration(o.Retries+len(said))
	for i := range o.Retries {
		wait(pause)
		say(`{"type":"system","subtype":"api_retry","attempt":%d,"max_retries":%d,"retry_delay_ms":1,"error_status":500,"error":"server_error","session_id":%q}`,
			i+1, o.Retries, session)
	}
	message := `"message":{"id":"msg_` + r.told.Run + `","model":"` + model + `"`
	say(`{"type":"stream_event","session_id":%q,"event":{"type":"message_start",%s,"usage":{"input_tokens":12,"output_tokens":1}}}}`, session, message)
	for _, word := range said {
		wait(pause)
		say(`{"type":"stream_event","session_id":%q,"event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%s}}}`, session, text(word))
	}
	whole := text(strings.Join(said, ""))
	say(`{"type":"stream_event","session_id":%q,"event":{"type":"message_delta","usage":{"output_tokens":%d}}}`, session, len(said))
	say(`{"type":"stream_event","session_id":%q,"event":{"type":"message_stop"}}`, session)
	say(`{"type":"assistant","session_id":%q,%s,"content":[{"type":"text","text":%s}],"usage":{"input_tokens":12,"output_tokens":1}}}`, session, message, whole)
	say(`{"type":"result","subtype":"success","is_error":false,"result":%s,"session_id":%q,"num_turns":1,"duration_ms":%d,"duration_api_ms":%d,`+
		`"stop_reason":"end_turn","total_cost_usd":0.0001,"usage":{"input_tokens":12,"output_tokens":%d},`+
		`"modelUsage":{%q:{"inputTokens":12,"outputTokens":%d,"cacheReadInputTokens":0,"cacheCreationInputTokens":0,"costUSD":0.0001}}}`,
		whole, session, o.Millis, o.Millis, len(said), model, len(said))
	r.told.Answer = strings.Join(said, "")
	r.tell("answered")
}

// wait is how a model takes its time.
func wait(d time.Duration) { <-time.After(d) }

// say prints one line, whole: a launch that is killed leaves no half one.
func say(format string, args ...any) {
	if _, err := os.Stdout.WriteString(fmt.Sprintf(format, args...) + "\n"); err != nil {
		fail(err)
	}
}

func text(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		fail(err)
	}
	return string(raw)
}

func flag(name string) string {
	for _, arg := range os.Args[1:] {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return value
		}
	}
	return ""
}

// record is where launches are written down.
type record struct {
	base string
	told told
}

// tell tells the record what happened, until it has heard it, and gives how many launches of the job it knows.
func (r *record) tell(what string) (launch int) {
	body, err := json.Marshal(r.told)
	if err != nil {
		fail(err)
	}
	for range 100 {
		resp, err := http.Post(r.base+"/record/"+what, "application/json", bytes.NewReader(body))
		if err == nil {
			var heard struct{ Launch int }
			err = json.NewDecoder(resp.Body).Decode(&heard)
			resp.Body.Close()
			if err == nil {
				return heard.Launch
			}
		}
		wait(50 * time.Millisecond)
	}
	fail(fmt.Errorf("the record does not hear that it %s", what))
	return 0
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "standin:", err)
	os.Exit(70)
}
