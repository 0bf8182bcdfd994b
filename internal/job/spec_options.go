package job

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of the options that reach the command. They are part of the HTTP contract.
const (
	DefaultMaxTurns = 100  // each call of a tool is a turn; without a limit the command can loop, and pay, for ever
	MostTurns       = 1000 // that a caller may ask for
	// MaxSystemPrompt is in bytes. Linux gives one argument of a command 131,072.
	MaxSystemPrompt = 64 << 10
	MaxTools        = 64  // entries of allowedTools and of disallowedTools
	MaxToolLen      = 256 // bytes of an entry
)

func validTurns(n int) error {
	if n < 1 || n > MostTurns {
		return FieldError{"/maxTurns", fmt.Sprintf("must be 1 to %d", MostTurns)}
	}
	return nil
}

// validSystem refuses what an argument of a command cannot hold.
func validSystem(field, text string) error {
	switch {
	case len(text) > MaxSystemPrompt:
		return FieldError{field, fmt.Sprintf("must be at most %d bytes", MaxSystemPrompt)}
	case !utf8.ValidString(text), strings.ContainsRune(text, 0):
		return FieldError{field, "must be valid UTF-8 without U+0000"}
	}
	return nil
}

var (
	toolName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	// toolRule is a name, or a name with a pattern. A pattern holds no parenthesis and no comma, which separate rules.
	toolRule = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\([^(),\x00-\x1f\x7f]+\))?$`)
)

// ToolOf is the name of the tool that an entry of disallowedTools is about: "Bash" of "Bash(rm:*)".
func ToolOf(rule string) string {
	name, _, _ := strings.Cut(rule, "(")
	return name
}

func validTools(field string, tools []string, form *regexp.Regexp, must string) error {
	if len(tools) > MaxTools {
		return FieldError{field, fmt.Sprintf("must have at most %d entries", MaxTools)}
	}
	for i, tool := range tools {
		if len(tool) > MaxToolLen || !form.MatchString(tool) {
			return FieldError{field + "/" + strconv.Itoa(i), must}
		}
	}
	return nil
}

func validAllowed(tools []string) error {
	return validTools("/allowedTools", tools, toolName,
		`must be the name of a tool, such as "Read": a pattern would not narrow what the policy lets run`)
}

func validDisallowed(tools []string) error {
	return validTools("/disallowedTools", tools, toolRule,
		`must be a tool, such as "Bash", or a tool with a pattern, such as "Bash(grep:*)"`)
}

// conversationForm is that of every id of ours, of at most longestConversation bytes. The length is no part of the
// expression: counted repetitions cost every process of ours a part of its start.
var conversationForm = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

const longestConversation = 128

func validConversation(s Spec) error {
	switch {
	case s.ConversationID != "" && (len(s.ConversationID) > longestConversation || !conversationForm.MatchString(s.ConversationID)):
		return FieldError{"/conversationId", "must be the conversationId of an earlier job"}
	case s.Continue && s.SandboxID == "" && s.ConversationID == "":
		return FieldError{"/continue", "must come with a sandboxId or a conversationId: say which conversation"}
	}
	return nil
}

func validFresh(s Spec) error {
	switch {
	case s.FreshSandbox && s.SandboxID != "":
		return FieldError{"/freshSandbox", "must not come with a sandboxId: that one may have been used before"}
	case s.FreshSandbox && s.Continues():
		return FieldError{"/freshSandbox", "must not come with a conversationId or continue: a conversation goes on where it was"}
	}
	return nil
}

// Continues reports whether the job goes on with a conversation instead of beginning one.
func (s Spec) Continues() bool { return s.Continue || s.ConversationID != "" }
