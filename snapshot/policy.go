package snapshot

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"slices"
)

//go:embed policy.json
var policyJSON []byte

// ToolPolicy says what claude may do in a sandbox. The package comment says why it is as it is.
type ToolPolicy struct {
	Tools    []string        // which tools exist: --tools
	Allowed  []string        // rules that let a call run: --allowedTools; also in Settings
	Commands []string        // shell commands that run inside the workspace without a rule
	Settings json.RawMessage // permissions and environment, on one line: --settings
}

// policy is read once: policy.json is part of the program, and a test reads every field of it.
var policy = readPolicy(policyJSON)

// Policy is the tool policy of every run that brings none of its own.
func Policy() ToolPolicy {
	p := policy
	p.Tools, p.Allowed, p.Commands = slices.Clone(p.Tools), slices.Clone(p.Allowed), slices.Clone(p.Commands)
	p.Settings = slices.Clone(p.Settings)
	return p
}

func readPolicy(data []byte) ToolPolicy {
	var file struct {
		Tools    []string        `json:"tools"`
		Commands []string        `json:"commands"`
		Settings json.RawMessage `json:"settings"`
	}
	must(json.Unmarshal(data, &file))
	var settings struct {
		Permissions struct {
			Allow []string `json:"allow"`
		} `json:"permissions"`
	}
	must(json.Unmarshal(file.Settings, &settings))
	var line bytes.Buffer
	must(json.Compact(&line, file.Settings))
	return ToolPolicy{
		Tools: file.Tools, Allowed: settings.Permissions.Allow, Commands: file.Commands, Settings: line.Bytes(),
	}
}

// settingsFile is the policy's settings as a file, for people who run claude in a sandbox by hand. A run of ours
// reads no settings file.
func settingsFile() []byte {
	var file bytes.Buffer
	must(json.Indent(&file, policy.Settings, "", "  "))
	file.WriteByte('\n')
	return file.Bytes()
}

// must stops the program when an embedded file is broken, which is a mistake in the build and fails every test.
func must(err error) {
	if err != nil {
		panic("snapshot: embedded file: " + err.Error())
	}
}
