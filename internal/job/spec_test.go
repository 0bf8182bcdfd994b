package job_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/job"
)

func TestSpecFaultsNameTheirField(t *testing.T) {
	good := job.Spec{Input: "What is 2+2?"}.WithDefaults()
	for name, tc := range map[string]struct {
		change  func(*job.Spec)
		pointer string
	}{
		"an empty prompt":            {func(s *job.Spec) { s.Input = "" }, "/input"},
		"a blank prompt":             {func(s *job.Spec) { s.Input = " \n\t\u00a0" }, "/input"},
		"a prompt over the limit":    {func(s *job.Spec) { s.Input = strings.Repeat("x", job.MaxInput+1) }, "/input"},
		"a prompt that is not UTF-8": {func(s *job.Spec) { s.Input = "a\xff" }, "/input"},
		"a model that is an option":  {func(s *job.Spec) { s.Model = "--help" }, "/model"},
		"a model of no known form":   {func(s *job.Spec) { s.Model = "gpt 5" }, "/model"},
		"an unknown format":          {func(s *job.Spec) { s.OutputFormat = "xml" }, "/outputFormat"},
		"a negative time":            {func(s *job.Spec) { s.Timeout = -time.Second }, "/timeoutSeconds"},
		"a time over six hours":      {func(s *job.Spec) { s.Timeout = 6*time.Hour + time.Second }, "/timeoutSeconds"},
		"an unknown priority":        {func(s *job.Spec) { s.Priority = "urgent" }, "/priority"},
		"a long metadata key": {func(s *job.Spec) {
			s.Metadata = map[string]string{strings.Repeat("k", 65): ""}
		}, "/metadata/" + strings.Repeat("k", 65)},
		"a metadata key with a slash": {func(s *job.Spec) {
			s.Metadata = map[string]string{"a/b": strings.Repeat("v", 513)}
		}, "/metadata/a~1b"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			tc.change(&s)
			var fault job.FieldError
			if err := s.Validate(); !errors.As(err, &fault) || fault.Pointer != tc.pointer {
				t.Errorf("Validate() = %v, want a fault at %s", err, tc.pointer)
			}
		})
	}
	if err := good.Validate(); err != nil {
		t.Errorf("a good spec: %v", err)
	}
}

func TestEveryFaultIsListedAtOnce(t *testing.T) {
	err := job.Spec{Model: "-x", OutputFormat: "y", Timeout: -1, Priority: "z"}.Validate()
	for _, pointer := range []string{"/input", "/model", "/outputFormat", "/timeoutSeconds", "/priority"} {
		if err == nil || !strings.Contains(err.Error(), pointer+" ") {
			t.Errorf("%s is not in: %v", pointer, err)
		}
	}
}

func TestModelForms(t *testing.T) {
	for _, m := range []string{"sonnet", "haiku", "opus", "claude-sonnet-5-5", "claude-3-5-haiku-20241022", "sonnet[1m]"} {
		if err := (job.Spec{Input: "x", Model: m}).WithDefaults().Validate(); err != nil {
			t.Errorf("model %q: %v", m, err)
		}
	}
}

func TestUserIDs(t *testing.T) {
	for id, good := range map[string]bool{
		"user123": true, "ü": true, "a@b.c": true, strings.Repeat("é", 128): true,
		"": false, " ": false, "a b": false, "a\n": false, "a\x00": false, "\xff": false, strings.Repeat("x", 129): false,
	} {
		if err := job.ValidateUserID(id); (err == nil) != good {
			t.Errorf("user id %q: %v, want good = %v", id, err, good)
		}
	}
}
