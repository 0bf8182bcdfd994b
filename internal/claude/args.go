package claude

import (
	"strconv"
	"strings"
)

// DefaultMaxTurns limits a run whose caller named no limit. Without one the command can loop, and pay, for ever.
const DefaultMaxTurns = 100

// Policy says which tools a run has and which of them run without asking. The zero value is the closed one: no
// tools at all.
//
// A call that is not allowed does not fail the run: the model is told, and goes on. "*" allows nothing (measured):
// name each tool. A bare "Read", "Write" or "Edit" reaches outside of the working directory; "Edit(./**)" does not.
type Policy struct {
	Tools    []string // which tools exist: "Bash", "Read"
	Allowed  []string // which calls run without asking: "Edit(./**)", "Bash(git log:*)"
	Settings string   // JSON for --settings; "" for none
}

// Options is what one launch of the command may vary. The zero value runs, with the CLI's default model, no tools
// and DefaultMaxTurns. With both SessionID and Resume the run goes on with Resume under the new id, and Resume stays as
// it is: a run that fails then leaves nothing behind in the conversation.
type Options struct {
	Model     string // alias or full id; "" is the CLI's default, which changes with its version
	SessionID string // UUID of a new conversation; one that was used before ends the run with CONVERSATION_IN_USE
	Resume    string // UUID of a conversation to go on with; an unknown one ends the run with CONVERSATION_LOST
	MaxTurns  int    // 0 or less means DefaultMaxTurns
	Policy    Policy

	DisallowedTools []string // taken away from Policy.Tools
	SystemPrompt    string   // replaces the CLI's own; "" keeps it
	// AppendSystemPrompt is added to the system prompt. A resumed conversation keeps the text of its first turn
	// (2.1.330), so Args asks for the new one when both are set.
	AppendSystemPrompt string
	MaxBudgetUSD       float64 // looked at after each answer, so it is overshot by one; 0 means none
}

// Args is the command line of one launch, args[0] included. The prompt is not in it: it goes to standard input,
// where no other process can read it.
//
// Every value stands after an equals sign, so that none can be taken for an option. The settings of the working
// directory are closed (--setting-sources=, --strict-mcp-config): whoever wrote a file there must not be able to
// send the key to another address, run a hook or start an MCP server.
func Args(o Options) []string {
	turns := o.MaxTurns
	if turns <= 0 {
		turns = DefaultMaxTurns
	}
	args := []string{
		"claude", "-p",
		"--output-format=stream-json", "--verbose", "--include-partial-messages",
		"--max-turns=" + strconv.Itoa(turns),
		"--setting-sources=", "--strict-mcp-config",
		"--tools=" + strings.Join(o.Policy.Tools, ","),
	}
	option := func(name, value string) {
		if value != "" {
			args = append(args, name+"="+value)
		}
	}
	option("--allowedTools", strings.Join(o.Policy.Allowed, ","))
	option("--disallowedTools", strings.Join(o.DisallowedTools, ","))
	option("--settings", o.Policy.Settings)
	option("--model", o.Model)
	option("--session-id", o.SessionID)
	option("--resume", o.Resume)
	if o.Resume != "" && o.SessionID != "" {
		args = append(args, "--fork-session")
	}
	option("--system-prompt", o.SystemPrompt)
	option("--append-system-prompt", o.AppendSystemPrompt)
	if o.Resume != "" && o.SystemPrompt+o.AppendSystemPrompt != "" {
		option("--system-prompt-snapshot", "off")
	}
	if o.MaxBudgetUSD > 0 {
		option("--max-budget-usd", strconv.FormatFloat(o.MaxBudgetUSD, 'f', -1, 64))
	}
	return args
}
