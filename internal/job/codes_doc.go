package job

// PromptEmpty is the CLI's own refusal of a prompt without text; a submission is refused earlier.
const PromptEmpty Code = "PROMPT_EMPTY"

// CodeDoc says what a code means to a person: what happened, why, and what can be done.
type CodeDoc struct {
	Code    Code
	Meaning string
	Cause   string
	Remedy  string
}
