package claude

import (
	"regexp"
	"strconv"
	"strings"

	"sandpiper/internal/job"
)

// finding is what one clue says about an ending. An empty Paid leaves that to what was counted.
type finding struct {
	class Class
	code  job.Code
	paid  Paid
}

// statuses are the HTTP statuses of the Messages API. Nothing is paid for a request that was refused with one.
var statuses = map[int]finding{
	400: {ClassPermanent, job.APIBadRequest, PaidNo}, // but see texts: the credit is used up, the prompt is too long
	401: {ClassOperator, job.APIAuth, PaidNo},
	402: {ClassOperator, job.APICredit, PaidNo},
	403: {ClassOperator, job.APIAuth, PaidNo},
	404: {ClassPermanent, job.ModelNotFound, PaidNo},
	408: {ClassRetry, job.APITimeout, PaidNo},
	409: {ClassRetry, job.APIError, PaidNo},
	413: {ClassPermanent, job.PromptTooLong, PaidNo},
	422: {ClassPermanent, job.APIBadRequest, PaidNo},
	429: {ClassRetry, job.APIRateLimited, PaidNo},
	529: {ClassRetry, job.APIOverloaded, PaidNo},
}

func byStatus(status int) finding {
	if f, ok := statuses[status]; ok {
		return f
	}
	if status >= 400 && status < 500 {
		return finding{ClassPermanent, job.APIBadRequest, PaidNo}
	}
	return finding{ClassRetry, job.APIError, PaidNo}
}

// rule is a sentence of the CLI and what it means.
type rule struct {
	says string
	finding
}

// stronger are sentences that say more than the status or the word that comes with them.
var stronger = []rule{
	{"Credit balance is too low", finding{ClassOperator, job.APICredit, PaidNo}}, // with status 400
	{"Prompt is too long", finding{ClassPermanent, job.PromptTooLong, PaidNo}},   // with 400, or without a call
	{"context window limit", finding{ClassPermanent, job.ContextFull, ""}},       // with api_error max_output_tokens
	{"mid-response", finding{ClassRetry, job.StreamCut, ""}},                     // with api_error connection_failed
	// After the head of an answer had come; before it, the CLI says that the connection was "dropped" or "refused".
	{"Connection to the API was lost", finding{ClassRetry, job.StreamCut, PaidPart}},
}

// apiErrors are the words of api_error (2.1.330).
var apiErrors = map[string]finding{
	"connection_failed":   {ClassRetry, job.APIUnreachable, PaidNo}, // a cut stream when tokens were counted
	"max_output_tokens":   {ClassPermanent, job.MaxTokens, ""},
	"stream_idle_timeout": {ClassRetry, job.StreamCut, ""},
}

// texts are the sentences of a result (or of the text format) when nothing else tells; the first that fits.
var texts = []rule{
	{"Not logged in", finding{ClassOperator, job.NotLoggedIn, PaidNo}},
	{"Invalid API key", finding{ClassOperator, job.NotLoggedIn, PaidNo}}, // 1.0.83 without a key
	{"issue with the selected model", finding{ClassPermanent, job.ModelNotFound, PaidNo}},
	{"Usage Policy", finding{ClassPermanent, job.Refused, ""}},
	{"safeguards flagged", finding{ClassPermanent, job.Refused, ""}},
	{"output token maximum", finding{ClassPermanent, job.MaxTokens, ""}},
	{"Request too large", finding{ClassPermanent, job.PromptTooLong, PaidNo}},
	{"Request timed out", finding{ClassRetry, job.APITimeout, PaidUnknown}}, // asked, and no byte came back
	{"ECONNRESET", finding{ClassRetry, job.APIUnreachable, ""}},             // 2.1.197: perhaps in the middle of a stream
	{"Unable to connect to API", finding{ClassRetry, job.APIUnreachable, PaidNo}},
	{"Connection error", finding{ClassRetry, job.APIUnreachable, PaidNo}},
	{"Can't reach the API server", finding{ClassRetry, job.APIUnreachable, PaidNo}},
	{"Stream ended without receiving any events", finding{ClassRetry, job.StreamCut, ""}},
	{"overloaded_error", finding{ClassRetry, job.APIOverloaded, ""}}, // 2.1.197: an error event inside the stream
	{"empty or malformed response", finding{ClassRetry, job.APIError, PaidNo}},
	{"Cannot read properties of undefined", finding{ClassRetry, job.APIError, PaidNo}}, // 1.0.83, HTML with status 200
}

// startups are sentences on standard error of a command that ended before it asked anything.
var startups = []rule{
	{"unknown option", finding{ClassOperator, job.BadOption, PaidNo}},
	{"Settings file not found", finding{ClassOperator, job.BadOption, PaidNo}}, // --settings with bad JSON, too
	{"cannot be used with root", finding{ClassOperator, job.BadOption, PaidNo}},
	{"error: option", finding{ClassOperator, job.BadOption, PaidNo}},
	{"Input must be provided", finding{ClassPermanent, job.PromptEmpty, PaidNo}},
	{"Input contained only whitespace", finding{ClassPermanent, job.PromptEmpty, PaidNo}},
	{"No messages returned", finding{ClassPermanent, job.PromptEmpty, PaidNo}}, // 2.1.197 and 1.0.83, a blank prompt
	{"stdin input exceeds", finding{ClassPermanent, job.PromptTooLong, PaidNo}},
	{"No conversation found", finding{ClassPermanent, job.ConversationLost, PaidNo}},
	{"is already in use", finding{ClassPermanent, job.ConversationInUse, PaidNo}},
	{"output sent to a file because the disk is full", finding{ClassUnknown, job.OutcomeIsUnknown, PaidUnknown}},
	{"ENOSPC", finding{ClassNewSandbox, job.SandboxBroken, PaidNo}},
	{"configuration file at", finding{ClassNewSandbox, job.SandboxBroken, PaidNo}}, // … is corrupted
	{"Configuration error in", finding{ClassNewSandbox, job.SandboxBroken, PaidNo}},
	{"Raw mode is not supported", finding{ClassNewSandbox, job.SandboxBroken, PaidNo}}, // 1.0.83 asks a person about it
	{"current directory no longer exists", finding{ClassNewSandbox, job.SandboxBroken, PaidNo}},
	{"Bun could not find a file", finding{ClassNewSandbox, job.SandboxBroken, PaidNo}},
	{"uv_cwd", finding{ClassNewSandbox, job.SandboxBroken, PaidNo}},
	{"native binary not installed", finding{ClassNewSandbox, job.ClaudeNotAvailable, PaidNo}},
}

func find(rules []rule, text string) (finding, bool) {
	for _, r := range rules {
		if strings.Contains(text, r.says) {
			return r.finding, true
		}
	}
	return finding{}, false
}

var statusInText = regexp.MustCompile(`^API Error: (\d{3})\b`)

// byText reads an error that is only a sentence: all that 1.0.83 and the text format give.
func byText(text string) (finding, bool) {
	if f, ok := find(stronger, text); ok {
		return f, true
	}
	if m := statusInText.FindStringSubmatch(text); m != nil {
		status, _ := strconv.Atoi(m[1])
		return byStatus(status), true
	}
	return find(texts, text)
}
