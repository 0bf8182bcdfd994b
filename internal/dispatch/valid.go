package dispatch

import (
	"errors"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// valid returns every fault of a submission, joined. A job of the operator's own belongs to no user.
func valid(c auth.Caller, spec job.Spec) error {
	if c.Operator && c.UserID == "" {
		return spec.Validate()
	}
	return errors.Join(job.ValidateUserID(c.UserID), spec.Validate())
}
