package claude

import (
	"encoding/json"
	"errors"
	"math"

	"sandpiper/internal/job"
)

// wire is one line of the command's output. Numbers are floats, because some of them are (a retry's delay), and
// a field of another type than expected is left zero rather than losing the line.
type wire struct {
	Type    string `json:"type"`
	Subtype string `json:"subtype"`
	Parent  string `json:"parent_tool_use_id"` // set when a subagent speaks

	// system
	Status        string   `json:"status"`
	SessionID     string   `json:"session_id"`
	Model         string   `json:"model"`
	Version       string   `json:"claude_code_version"`
	Tools         []string `json:"tools"`
	Attempt       float64  `json:"attempt"`
	MaxRetries    float64  `json:"max_retries"`
	RetryDelayMS  float64  `json:"retry_delay_ms"`
	ErrorStatus   float64  `json:"error_status"`
	Error         string   `json:"error"`
	ToolName      string   `json:"tool_name"`
	OriginalModel string   `json:"original_model"`
	FallbackModel string   `json:"fallback_model"`

	// assistant: an object; permission_denied: a sentence
	Message json.RawMessage `json:"message"`
	// stream_event
	Event     wireEvent       `json:"event"`
	Abandoned json.RawMessage `json:"abandoned_blocks"` // the CLI itself ended a message that was cut (2.1.330)
}

type wireMessage struct {
	ID      string      `json:"id"`
	Model   string      `json:"model"`
	Usage   wireUsage   `json:"usage"`
	Content []wireBlock `json:"content"`
}

type wireBlock struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type wireEvent struct {
	Type    string      `json:"type"`
	Message wireMessage `json:"message"` // message_start
	Delta   wireBlock   `json:"delta"`   // content_block_delta
	Usage   wireUsage   `json:"usage"`   // message_delta: the counts so far
}

// wireUsage is the Messages API's form of a count.
type wireUsage struct {
	Input      float64 `json:"input_tokens"`
	Output     float64 `json:"output_tokens"`
	CacheRead  float64 `json:"cache_read_input_tokens"`
	CacheWrite float64 `json:"cache_creation_input_tokens"`
}

func (u wireUsage) of(model string) job.ModelUsage {
	return job.ModelUsage{
		Model: model, InputTokens: count(u.Input), OutputTokens: count(u.Output),
		CacheReadTokens: count(u.CacheRead), CacheWriteTokens: count(u.CacheWrite),
	}
}

// wireModelUsage is the CLI's form of a count.
type wireModelUsage struct {
	Input      float64 `json:"inputTokens"`
	Output     float64 `json:"outputTokens"`
	CacheRead  float64 `json:"cacheReadInputTokens"`
	CacheWrite float64 `json:"cacheCreationInputTokens"`
}

// wireResult is the result line. The fields below the first blank line exist in 2.1 only, and StopReason is nil
// when the key is absent, "null" when it is there without a value: 2.1.197 says null for an answer that was cut.
type wireResult struct {
	Subtype     string    `json:"subtype"`
	IsError     bool      `json:"is_error"`
	Result      string    `json:"result"`
	SessionID   string    `json:"session_id"`
	NumTurns    float64   `json:"num_turns"`
	DurationAPI float64   `json:"duration_api_ms"`
	Usage       wireUsage `json:"usage"`

	APIErrorStatus   float64                   `json:"api_error_status"`
	TerminalReason   string                    `json:"terminal_reason"`
	StopReason       json.RawMessage           `json:"stop_reason"`
	Errors           []string                  `json:"errors"`
	StructuredOutput json.RawMessage           `json:"structured_output"`
	ModelUsage       map[string]wireModelUsage `json:"modelUsage"`

	APIError     string                    `json:"api_error"`                     // 2.1.330 only
	LocalCommand string                    `json:"local_command"`                 // 2.1.330 only
	SinceLast    map[string]wireModelUsage `json:"model_usage_since_last_result"` // 2.1.330, stream-json only
}

// read decodes what it can of one JSON value; false means that it is not JSON at all.
func read(data []byte, into any) bool {
	err := json.Unmarshal(data, into)
	var kind *json.UnmarshalTypeError // one field has another type; the others were read
	return err == nil || errors.As(err, &kind)
}

// count makes a number of tokens out of whatever was printed.
func count(f float64) int64 { return int64(math.Min(math.Max(f, 0), 1e15)) }
