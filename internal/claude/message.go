package claude

import (
	"regexp"
	"strings"
	"unicode"

	"sandpiper/internal/job"
)

// sentences say what happened, for people. The CLI's own words follow where they help.
var sentences = map[job.Code]string{
	job.ClaudeNotAvailable:  "Claude Code CLI not available",
	job.ClaudeCommandFailed: "Claude command failed",
	job.ExecutionError:      "The command was killed before it asked the model; nothing was paid",
	job.APIError:            "The model API failed",
	job.APIRateLimited:      "The model API limits the rate of requests",
	job.APIOverloaded:       "The model API is overloaded",
	job.APIUnreachable:      "The model API cannot be reached from the sandbox",
	job.APITimeout:          "The model API did not answer in time",
	job.APIAuth:             "The model API refused the key",
	job.APICredit:           "The account of the model API has no credit",
	job.APIBadRequest:       "The model API refused the request",
	job.NotLoggedIn:         "The sandbox has no usable API key",
	job.ModelNotFound:       "The model does not exist, or the key may not use it",
	job.PromptEmpty:         "The prompt is empty",
	job.PromptTooLong:       "The prompt is too long",
	job.ContextFull:         "The model's context window is full",
	job.MaxTurns:            "The run reached its limit of turns",
	job.MaxTokens:           "The answer is longer than the model may write",
	job.BudgetExceeded:      "The run reached its budget",
	job.Refused:             "The model refused to answer",
	job.EmptyResult:         "The model was paid and answered nothing",
	job.StreamCut:           "The answer was cut off",
	job.SchemaNotMet:        "The answer does not have the structure that was asked for",
	job.LocalCommand:        "The CLI took the prompt for a command of its own; no model was asked",
	job.BadOption:           "The CLI refused its command line",
	job.ConversationLost:    "The conversation is not in this sandbox",
	job.ConversationInUse:   "The conversation id was used before",
	job.SandboxBroken:       "The sandbox cannot run the CLI",
	job.DeadlineExceeded:    "The run was ended at its deadline",
	job.JobCancelled:        "The run was cancelled",
	job.OutcomeIsUnknown:    "The run ended without a result; whether it answered, and what was paid, is not known",
}

// quoted are the codes whose sentence alone would hide what a person must know.
var quoted = map[job.Code]bool{
	job.ClaudeNotAvailable: true, job.ClaudeCommandFailed: true, job.APIError: true, job.APIRateLimited: true,
	job.APIOverloaded: true, job.APIUnreachable: true, job.APITimeout: true, job.APIAuth: true,
	job.APIBadRequest: true, job.NotLoggedIn: true, job.ModelNotFound: true, job.PromptTooLong: true,
	job.Refused: true, job.StreamCut: true, job.SchemaNotMet: true, job.BadOption: true, job.SandboxBroken: true,
}

func (c *court) message(f finding) string {
	if f.class == ClassSucceeded {
		return ""
	}
	said := c.result.Result
	switch {
	case !c.hasResult && c.Stderr != "":
		said = c.Stderr
	case !c.hasResult:
		said = c.state.Raw
	case len(c.result.Errors) > 0:
		said = strings.Join(c.result.Errors, "; ")
	case !c.result.IsError:
		said = "" // an answer, not a reason
	}
	unexplained := f.code == job.OutcomeIsUnknown && !c.hasResult
	if said = oneLine(said); said == "" || !quoted[f.code] && !unexplained {
		return sentences[f.code]
	}
	return sentences[f.code] + ": " + said
}

// key is what an API key looks like. Messages are masked like all output; this is a second look.
var key = regexp.MustCompile(`sk-ant-[A-Za-z0-9_-]+`)

// oneLine is the first 300 characters of s, without line breaks and control characters.
func oneLine(s string) string {
	const longest = 300
	printable := func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}
	if len(s) > 8*longest {
		s = s[:8*longest]
	}
	s = strings.Join(strings.Fields(strings.Map(printable, s)), " ")
	return first(key.ReplaceAllString(s, "[key]"), longest)
}

// first is the first n characters of s.
func first(s string, n int) string {
	for at := range s {
		if n--; n < 0 {
			return s[:at]
		}
	}
	return s
}
