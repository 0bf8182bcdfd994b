package job

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a submission. They are part of the HTTP contract.
const (
	MaxTimeout       = 6 * time.Hour
	DefaultTimeout   = time.Hour
	DefaultModel     = "sonnet"
	MaxUserIDLen     = 128 // characters
	MaxMetadata      = 16  // entries
	MaxMetadataKey   = 64  // bytes
	MaxMetadataValue = 512 // bytes
	// MaxInput is what the CLI takes on stdin; more ends it with exit 1 (measured on 2.1.330: over 10 MB).
	MaxInput = 10_000_000 // bytes
)

// Spec is what a caller asks for: the prompt and how to run it. The input is kept byte for byte.
type Spec struct {
	SandboxID    string            `json:"sandboxId,omitempty"` // "" means one from the caller's pool
	Input        string            `json:"-"`                   // the prompt; stored apart, as bytes
	Model        string            `json:"model"`
	OutputFormat Format            `json:"outputFormat"`
	Timeout      time.Duration     `json:"timeout"`
	Priority     Priority          `json:"priority"`
	Metadata     map[string]string `json:"metadata,omitempty"`

	Stream             bool   `json:"stream,omitempty"` // show the text while it is written, as partial events
	MaxTurns           int    `json:"maxTurns,omitempty"`
	SystemPrompt       string `json:"systemPrompt,omitempty"`       // in place of the command's own; "" keeps it
	AppendSystemPrompt string `json:"appendSystemPrompt,omitempty"` // added to it
	// AllowedTools are the names of the tools that exist, out of those of the policy. nil means all of them, and an
	// empty list none.
	AllowedTools    []string `json:"allowedTools,omitzero"`
	DisallowedTools []string `json:"disallowedTools,omitempty"` // taken away again; may have patterns: "Bash(grep:*)"
	ConversationID  string   `json:"conversationId,omitempty"`  // the conversation to go on with
	Continue        bool     `json:"continue,omitempty"`        // go on with the newest one of SandboxID
	FreshSandbox    bool     `json:"freshSandbox,omitempty"`    // in a sandbox that no job of before has used
	Retry           Retry    `json:"retry,omitzero"`
}

// WithDefaults fills what the caller left out.
func (s Spec) WithDefaults() Spec {
	if s.Model == "" {
		s.Model = DefaultModel
	}
	if s.OutputFormat == "" {
		s.OutputFormat = FormatText
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	if s.Priority == "" {
		s.Priority = Interactive
	}
	if s.MaxTurns == 0 {
		s.MaxTurns = DefaultMaxTurns
	}
	if s.Retry.MaxAttempts == 0 {
		s.Retry.MaxAttempts = DefaultMaxAttempts
	}
	return s
}

// Validate returns every fault of s, joined, each a FieldError with the pointer of the field in a request body.
// Call it after WithDefaults.
func (s Spec) Validate() error {
	return errors.Join(
		validInput(s.Input), validModel(s.Model), validFormat(s.OutputFormat),
		validTimeout(s.Timeout), validPriority(s.Priority), validMetadata(s.Metadata),
		validTurns(s.MaxTurns), validSystem("/systemPrompt", s.SystemPrompt),
		validSystem("/appendSystemPrompt", s.AppendSystemPrompt),
		validAllowed(s.AllowedTools), validDisallowed(s.DisallowedTools), validConversation(s), validFresh(s), validRetry(s.Retry),
	)
}

// ValidateUserID says what is wrong with a user id: 1 to 128 printable characters without blanks.
func ValidateUserID(id string) error {
	printable := func(r rune) bool { return unicode.IsPrint(r) && !unicode.IsSpace(r) }
	if id == "" || !utf8.ValidString(id) || utf8.RuneCountInString(id) > MaxUserIDLen ||
		strings.ContainsFunc(id, func(r rune) bool { return !printable(r) }) {
		return FieldError{"/userId", fmt.Sprintf("must be 1 to %d printable characters without blanks", MaxUserIDLen)}
	}
	return nil
}

func validInput(in string) error {
	switch {
	case strings.TrimSpace(in) == "":
		return FieldError{"/input", "must not be empty or blank"}
	case len(in) > MaxInput:
		return FieldError{"/input", fmt.Sprintf("must be at most %d bytes", MaxInput)}
	case !utf8.ValidString(in):
		return FieldError{"/input", "must be valid UTF-8"}
	}
	return nil
}

// modelForm is an alias or a full id. It never starts with a dash, so it cannot be taken for an option.
var modelForm = regexp.MustCompile(`^(sonnet|opus|haiku|claude-[a-z0-9][a-z0-9.\-]*)(\[1m\])?$`)

// longestModel is that of a full id, without what may be appended in brackets.
const longestModel = 106

func validModel(m string) error {
	if len(strings.TrimSuffix(m, "[1m]")) > longestModel || !modelForm.MatchString(m) {
		return FieldError{"/model", `must be "sonnet", "haiku", "opus" or a full id such as "claude-sonnet-5-5"`}
	}
	return nil
}

func validFormat(f Format) error {
	if f != FormatText && f != FormatJSON {
		return FieldError{"/outputFormat", `must be "text" or "json"`}
	}
	return nil
}

func validTimeout(d time.Duration) error {
	if d < time.Second || d > MaxTimeout {
		return FieldError{"/timeoutSeconds", fmt.Sprintf("must be 1 to %d", int(MaxTimeout.Seconds()))}
	}
	return nil
}

func validPriority(p Priority) error {
	for _, known := range Priorities {
		if p == known {
			return nil
		}
	}
	return FieldError{"/priority", `must be "interactive", "default" or "bulk"`}
}

func validMetadata(m map[string]string) error {
	if len(m) > MaxMetadata {
		return FieldError{"/metadata", fmt.Sprintf("must have at most %d entries", MaxMetadata)}
	}
	for k, v := range m {
		if k == "" || len(k) > MaxMetadataKey || len(v) > MaxMetadataValue {
			return FieldError{"/metadata/" + pointerEscape.Replace(k), fmt.Sprintf(
				"must have a key of 1 to %d bytes and a value of at most %d", MaxMetadataKey, MaxMetadataValue)}
		}
	}
	return nil
}

// pointerEscape escapes one token of a JSON pointer (RFC 6901 §3).
var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")
