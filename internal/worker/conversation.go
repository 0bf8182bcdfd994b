package worker

import (
	"slices"

	"github.com/google/uuid"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
)

// session is the id of the next run's session. A session's id can be used once, also when the run came to nothing
// ("already in use", measured on 2.1.330), so each run has its own; the very first one has the conversation's. A retry by
// hand may begin the conversation of another job, in the same sandbox: the name is taken there.
func (a *attempt) session() string {
	if a.prior == nil && a.resume == "" && a.job.RetryOf == "" {
		return a.job.ConversationID
	}
	return uuid.NewString()
}

// said is the session that the conversation goes on with after this run: the run's, when the model said anything in
// it, whatever became of it then. Otherwise the conversation stays where it was.
func (a *attempt) said(v claude.Verdict) string {
	counted := slices.ContainsFunc(v.Usage, func(u job.ModelUsage) bool { return u.OutputTokens > 0 })
	if v.Class == claude.ClassSucceeded || counted {
		return a.run.Session
	}
	return ""
}
