package httpapi

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sandpiper/internal/job"
	"sandpiper/snapshot"
)

// options takes the fields of a submission that say how the command runs.
func (o *object) options(spec *job.Spec) {
	spec.Stream = o.flag("stream")
	spec.MaxTurns = int(min(max(o.whole("maxTurns"), -1), job.MostTurns+1))
	spec.SystemPrompt = o.text("systemPrompt")
	spec.AppendSystemPrompt = o.text("appendSystemPrompt")
	for name, text := range map[string]string{"systemPrompt": spec.SystemPrompt, "appendSystemPrompt": spec.AppendSystemPrompt} {
		o.notEmpty(name, text, "must not be empty; leave it out to keep the command's own")
	}
	spec.Continue = o.flag("continue")
	spec.ConversationID = o.text("conversationId")
	o.notEmpty("conversationId", spec.ConversationID, "must not be empty; leave it out to begin a conversation")
	spec.FreshSandbox = o.flag("freshSandbox")
	spec.AllowedTools = o.tools("allowedTools")
	spec.DisallowedTools = o.tools("disallowedTools")
	spec.Retry = o.retry("retry")
}

// retry takes how often a job may be launched. What it leaves out has its default, and what it does not know is a fault:
// a misspelt limit would be none.
func (o *object) retry(name string) (r job.Retry) {
	raw := o.take(name)
	if raw == nil {
		return r
	}
	in := &object{bad: map[string]bool{}, taken: map[string]bool{}}
	if json.Unmarshal(raw, &in.raw) != nil || in.raw == nil {
		o.fail(name, "must be an object with maxAttempts, afterSpend or both")
		return r
	}
	if r.MaxAttempts = job.DefaultMaxAttempts; in.has("maxAttempts") {
		r.MaxAttempts = int(min(max(in.whole("maxAttempts"), -1), job.MostAttempts+1))
	}
	r.AfterSpend = in.flag("afterSpend")
	for _, field := range slices.Sorted(maps.Keys(in.raw)) {
		if !in.taken[field] {
			in.fail(field, "is not a known field")
		}
	}
	for _, f := range faultsOf(errors.Join(in.faults...)) {
		o.bad[name] = true
		o.add(job.FieldError{Pointer: "/" + name + f.Pointer, Must: f.Detail})
	}
	return r
}

// tools takes a list of tools, each of which must be one that the policy has: a caller may narrow the policy and never
// widen it, and a misspelt name would narrow nothing.
func (o *object) tools(name string) []string {
	list := o.list(name)
	if len(list) == 0 {
		return list // as in nearly every line of a batch: the policy is copied for those who name tools
	}
	known := snapshot.Policy().Tools
	for i, entry := range list {
		if !o.bad[name] && !slices.Contains(known, job.ToolOf(entry)) {
			o.bad[name] = true
			o.add(job.FieldError{
				Pointer: "/" + name + "/" + strconv.Itoa(i),
				Must:    "must name one of the tools that jobs have: " + strings.Join(known, ", "),
			})
		}
	}
	return list
}

// notEmpty refuses a field that was given as "".
func (o *object) notEmpty(name, value, must string) {
	if o.has(name) && !o.bad[name] && value == "" {
		o.fail(name, must)
	}
}

// flag takes true or false. It is false when the field is absent or neither.
func (o *object) flag(name string) bool {
	raw := o.take(name)
	if raw != nil && string(raw) != "true" && string(raw) != "false" {
		o.fail(name, "must be true or false")
	}
	return string(raw) == "true"
}

// list takes a list of strings: nil when it is absent or has a fault, and never when it is empty.
func (o *object) list(name string) []string {
	raw := o.take(name)
	if raw == nil {
		return nil
	}
	var entries []json.RawMessage
	if json.Unmarshal(raw, &entries) != nil || entries == nil {
		o.fail(name, "must be a list of strings")
		return nil
	}
	values := make([]string, len(entries))
	for i, entry := range entries {
		if entry[0] != '"' || json.Unmarshal(entry, &values[i]) != nil {
			o.bad[name] = true
			o.add(job.FieldError{Pointer: "/" + name + "/" + strconv.Itoa(i), Must: "must be a string"})
		}
	}
	if o.bad[name] {
		return nil
	}
	return values
}
