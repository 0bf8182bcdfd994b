package worker

import (
	"slices"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
)

// options are what one launch of the command is told.
func (a *attempt) options() claude.Options {
	spec := a.job.Spec
	policy, denied := narrowed(a.w.o.Policy, spec)
	return claude.Options{
		Model: spec.Model, SessionID: a.run.Session, Resume: a.run.Resume, MaxTurns: spec.MaxTurns,
		SystemPrompt: spec.SystemPrompt, AppendSystemPrompt: spec.AppendSystemPrompt,
		Policy: policy, DisallowedTools: denied,
	}
}

// narrowed is the policy without what the caller does not want, and what is denied on top of it. A caller never gets
// more than the policy has, whatever the names: what runs without asking is the policy's alone.
//
// The policy's rules for a tool that is left out are denied, too: the rule for Edit would still let Bash write files
// inside the working directory, though Edit is gone (measured on 2.1.330).
func narrowed(p claude.Policy, spec job.Spec) (claude.Policy, []string) {
	denied := slices.Clone(spec.DisallowedTools)
	left := func(tool string) bool {
		return slices.Contains(p.Tools, tool) && !slices.Contains(spec.DisallowedTools, tool) &&
			(spec.AllowedTools == nil || slices.Contains(spec.AllowedTools, tool))
	}
	for _, rule := range p.Allowed {
		tool := job.ToolOf(rule)
		if !left(tool) && (tool != "Edit" || !left("Write")) { // the rule for Edit is also that for Write
			denied = append(denied, rule)
		}
	}
	p.Tools = slices.DeleteFunc(slices.Clone(p.Tools), func(tool string) bool { return !left(tool) })
	return p, denied
}
