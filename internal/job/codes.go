package job

// Code is a stable word for a failure, one vocabulary for jobs and for problem documents.
type Code string

// The codes of job failures. Codes has what each means.
const (
	ClaudeNotAvailable  Code = "CLAUDE_NOT_AVAILABLE"
	ClaudeCommandFailed Code = "CLAUDE_COMMAND_FAILED"
	ExecutionError      Code = "EXECUTION_ERROR"
	APIError            Code = "API_ERROR"
	APIRateLimited      Code = "API_RATE_LIMITED"
	APIOverloaded       Code = "API_OVERLOADED"
	APIUnreachable      Code = "API_UNREACHABLE"
	APITimeout          Code = "API_TIMEOUT"
	APIAuth             Code = "API_AUTH"
	APICredit           Code = "API_CREDIT"
	APIBadRequest       Code = "API_BAD_REQUEST"
	NotLoggedIn         Code = "NOT_LOGGED_IN"
	ModelNotFound       Code = "MODEL_NOT_FOUND"
	PromptTooLong       Code = "PROMPT_TOO_LONG"
	ContextFull         Code = "CONTEXT_FULL"
	MaxTurns            Code = "MAX_TURNS"
	MaxTokens           Code = "MAX_TOKENS"
	BudgetExceeded      Code = "BUDGET_EXCEEDED"
	Refused             Code = "REFUSED"
	EmptyResult         Code = "EMPTY_RESULT"
	StreamCut           Code = "STREAM_CUT"
	SchemaNotMet        Code = "SCHEMA_NOT_MET"
	LocalCommand        Code = "LOCAL_COMMAND"
	BadOption           Code = "BAD_OPTION"
	ConversationLost    Code = "CONVERSATION_LOST"
	ConversationInUse   Code = "CONVERSATION_IN_USE"
	SandboxBroken       Code = "SANDBOX_BROKEN"
	SandboxDeleted      Code = "SANDBOX_DELETED"
	SandboxNotCreated   Code = "SANDBOX_NOT_CREATED"
	DeadlineExceeded    Code = "DEADLINE_EXCEEDED"
	PoisonJob           Code = "POISON_JOB"
	JobCancelled        Code = "CANCELLED"
	OutcomeIsUnknown    Code = "OUTCOME_UNKNOWN"
)
