package claude

import (
	"encoding/json"

	"sandpiper/internal/job"
)

// usage is what the result counts, by model. total_cost_usd is never used: in 2.1.330 it is that of the whole
// conversation, earlier runs included, and so is modelUsage; the count since the last result is this run's. model
// names what is not counted by model.
func (r wireResult) usage(model string, resumed bool) []job.ModelUsage {
	byModel := r.SinceLast
	if byModel == nil && !resumed {
		byModel = r.ModelUsage
	}
	var sum []job.ModelUsage
	for name, u := range byModel {
		sum = add(sum, job.ModelUsage{
			Model: name, InputTokens: count(u.Input), OutputTokens: count(u.Output),
			CacheReadTokens: count(u.CacheRead), CacheWriteTokens: count(u.CacheWrite),
		})
	}
	if len(sum) > 0 {
		return sum
	}
	if all := r.Usage.of(model); tokens([]job.ModelUsage{all}) > 0 {
		return []job.ModelUsage{all} // 1.0.83: one sum over all models
	}
	return nil
}

func (r wireResult) stopReason() (s string) {
	if json.Unmarshal(r.StopReason, &s) != nil {
		return ""
	}
	return s
}
