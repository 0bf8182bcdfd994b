package job

// PromptEmpty is the CLI's own refusal of a prompt without text; a submission is refused earlier.
const PromptEmpty Code = "PROMPT_EMPTY"

// CodeDoc says what a code means to a person: what happened, why, and what can be done.
type CodeDoc struct {
	Code      Code
	Meaning   string // one sentence
	Cause     string
	Remedy    string
	Retryable bool // whether submitting the same prompt again could help
}

// Codes documents every code of a failed job, in groups: the command, the model API, the prompt, the answer, the
// sandbox, and the job itself.
var Codes = []CodeDoc{
	{
		ClaudeNotAvailable, "The claude command is not in the sandbox, or does not start.",
		"The snapshot lacks Claude Code, or holds npm's placeholder in place of its binary (installed with --ignore-scripts or without optional packages).",
		"Make sandboxes from a snapshot of this version; run `claude --version` in one of them.", true,
	},
	{
		ClaudeCommandFailed, "The command failed for a reason that has no code of its own.",
		"The message holds what the command said.", "Read the message; submit again if it looks temporary.", true,
	},
	{
		ExecutionError, "The run broke off without the command's doing, before it asked the model anything.",
		"The command was killed, the sandbox or the network failed, or something went wrong in Sandpiper.",
		"Submit again: nothing was paid. If it repeats, look at the worker's log.", true,
	},
	{
		BadOption, "The command refused its command line.",
		"The claude binary is another version than the pinned one, or the tool policy's settings are not JSON.",
		"Install the pinned version; check the policy.", true,
	},
	{
		NotLoggedIn, "The sandbox has no usable API key.",
		"ANTHROPIC_API_KEY was empty when the sandbox was created.", "Set the key, then clear the lane (`sandpiper lanes`): its jobs wait there. Only jobs in an older sandbox fail.", true,
	},
	{
		APIAuth, "The model API refused the key (401 or 403).",
		"The key is wrong, was revoked, or may not use this model or feature.", "Put the key right, then clear the lane (`sandpiper lanes`): its jobs wait there. Only jobs in a sandbox with an older key fail; submit those again.", true,
	},
	{
		APICredit, "The account of the model API has no credit (402, or a 400 that says so).",
		"The prepaid balance is used up.", "Add credit, then clear the lane (`sandpiper lanes`): its jobs wait there.", true,
	},
	{
		APIRateLimited, "The model API limits the rate of requests (429).",
		"Too many requests or tokens in a short time for this key.", "Wait; the lane of the key and model pauses, and its jobs go on by themselves while nothing is paid. Where the API asks for more than a minute (`retry-after` of 61 s or more), " +
			"the command ends at once and tells nobody how long: the lane then pauses for a time that doubles while it is refused.", true,
	},
	{
		APIOverloaded, "The model API is overloaded (529).",
		"The API has more work than it can do.", "Wait; the lane of the key and model pauses, and its jobs go on by themselves while nothing is paid.", true,
	},
	{
		APIError, "The model API failed (5xx, 409, or an answer that is not the API's).",
		"A fault of the API, or a proxy that answers in its place.", "Submit again later; check proxies on the way.", true,
	},
	{
		APIUnreachable, "The model API cannot be reached from the sandbox.",
		"DNS, a firewall, a proxy, or a wrong ANTHROPIC_BASE_URL.", "Look at the dns and https preflight lines of the job's log.", true,
	},
	{
		APITimeout, "The model API did not answer in time.",
		"No byte came back for five minutes, or the API said 408. The request may have been paid.",
		"Submit again if paying twice is acceptable.", true,
	},
	{
		APIBadRequest, "The model API refused the request (400, 422).",
		"The model does not take this combination of options, or the CLI's version is too old for it.",
		"Read the message; change the options or the version.", false,
	},
	{
		ModelNotFound, "The model does not exist, or the key may not use it (404).",
		"A wrong model name, or a model that this account has no access to.", "Use another model.", false,
	},
	{
		PromptEmpty, "The prompt holds no text.", "It is empty or only blanks.", "Submit a prompt with text.", false,
	},
	{
		PromptTooLong, "The prompt is too long.",
		"It is over 10 MB, over the model's context window, or larger than the API takes (413).",
		"Shorten it, or put large content into a file that the prompt names.", false,
	},
	{
		LocalCommand, "The CLI took the prompt for a command of its own, and asked no model.",
		"It begins with a slash, in a version where the leading space did not help.", "Begin the prompt with a word.", false,
	},
	{
		ContextFull, "The model's context window was full before it had finished.",
		"The conversation, or what the tools read, is too large.", "Ask for less at once, or start a new conversation.", false,
	},
	{
		MaxTurns, "The run reached its limit of turns.",
		"The model kept calling tools; each call is a turn.", "The model's last text is shown; raise maxTurns or ask for less.", false,
	},
	{
		MaxTokens, "The answer is longer than the model may write in one go.",
		"The limit of output tokens.", "Ask for a shorter answer, or for a file.", false,
	},
	{
		BudgetExceeded, "The run reached its budget.",
		"What was used passed maxBudgetUsd; the answer that crossed it was paid.", "The model's last text is shown; raise the budget.", false,
	},
	{
		Refused, "The model refused to answer.", "The API's safety system stopped the answer.", "Write the prompt in another way.", false,
	},
	{
		EmptyResult, "The model was paid and answered nothing.",
		"It ended its turn without any text, also when asked again.", "Submit again if paying twice is acceptable.", true,
	},
	{
		StreamCut, "The answer was cut off.",
		"The connection to the model API broke, stalled or carried an error in the middle of the answer, which was paid in part.",
		"Submit again if paying twice is acceptable (retry.afterSpend does it by itself).", true,
	},
	{
		SchemaNotMet, "The answer does not have the structure that was asked for.",
		"The model did not call the structured output, or got it wrong five times.", "Simplify the schema, or say in the prompt what is wanted.", false,
	},
	{
		ConversationLost, "The conversation to go on with is not in this sandbox.",
		"Conversations live in the sandbox they began in; it is gone, or the id is wrong.", "Start a new conversation.", false,
	},
	{
		ConversationInUse, "The conversation id was used before.", "An id names one conversation for ever.", "Use a new id, or continue the conversation.", false,
	},
	{
		SandboxBroken, "The sandbox cannot run the command.",
		"Its disk is full, its working directory is gone, or the CLI's configuration is damaged.", "Delete the sandbox; a new one is made for the next job.", true,
	},
	{
		SandboxDeleted, "The sandbox was deleted.", "Somebody, or the platform, deleted it while a job needed it.", "Submit again without naming that sandbox.", true,
	},
	{
		SandboxNotCreated, "No sandbox could be made.", "The platform refused: its key is wrong, the snapshot is unknown, or asks for more than one sandbox may have, which is not retryable. For a quota or an outage a job waits.",
		"Check the platform's key and the snapshot.", true,
	},
	{
		DeadlineExceeded, "The run was ended at its deadline.", "It took longer than timeoutSeconds.", "Raise timeoutSeconds or ask for less.", true,
	},
	{
		PoisonJob, "Five times in a row, whoever worked on the job died of it.",
		"Its worker died within five seconds of taking it up, or its sandbox died under it, and nothing of its output was read in between.",
		"Look at why workers or sandboxes die: memory, disk, the workers' logs. Submit again when that is put right.", false,
	},
	{
		JobCancelled, "The job was cancelled.", "Somebody asked for it.", "Submit again if it is wanted after all.", true,
	},
	{
		OutcomeIsUnknown, "The prompt was launched, and nobody can know how it ended or what was paid.",
		"The sandbox or the command died in the middle of an answer, or its output was lost.",
		"Look at the usage of the account; submit again if paying twice is acceptable. Sandpiper never does so by itself.", true,
	},
}
