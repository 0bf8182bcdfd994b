package claude_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/claude"
)

const uuid = "11111111-2222-4333-8444-555555555555"

func TestArgs(t *testing.T) {
	always := []string{
		"-p", "--output-format=stream-json", "--verbose", "--include-partial-messages", "--setting-sources=",
		"--strict-mcp-config",
	}
	for name, tc := range map[string]struct {
		opts claude.Options
		want []string
		not  []string // beginnings that no argument may have
	}{
		"the zero value has no tools and a limit of turns": {
			claude.Options{},
			[]string{"--tools=", "--max-turns=100"},
			[]string{"--model", "--allowedTools", "--settings=", "--session-id", "--resume"},
		},
		"a new conversation": {
			claude.Options{Model: "sonnet", SessionID: uuid, MaxTurns: 7},
			[]string{"--model=sonnet", "--session-id=" + uuid, "--max-turns=7"},
			[]string{"--resume"},
		},
		"the next turn of one": {
			claude.Options{Resume: uuid},
			[]string{"--resume=" + uuid},
			[]string{"--session-id", "--system-prompt-snapshot"},
		},
		"the next turn with another system prompt": {
			claude.Options{Resume: uuid, AppendSystemPrompt: "be brief"},
			[]string{"--append-system-prompt=be brief", "--system-prompt-snapshot=off"},
			nil,
		},
		"a policy": {
			claude.Options{Policy: claude.Policy{
				Tools: []string{"Bash", "Read"}, Allowed: []string{"Edit(./**)", "Bash(git log:*)"}, Settings: `{"a":1}`,
			}},
			[]string{"--tools=Bash,Read", "--allowedTools=Edit(./**),Bash(git log:*)", `--settings={"a":1}`},
			nil,
		},
		"tools taken away, and a budget": {
			claude.Options{DisallowedTools: []string{"Bash", "Write"}, MaxBudgetUSD: 0.00001},
			[]string{"--disallowedTools=Bash,Write", "--max-budget-usd=0.00001"},
			nil,
		},
		"no turn limit of 0, which would be none": {
			claude.Options{MaxTurns: -1}, []string{"--max-turns=100"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := claude.Args(tc.opts)
			if args[0] != "claude" {
				t.Errorf("args[0] = %q", args[0])
			}
			for _, want := range append(slices.Clone(always), tc.want...) {
				if !slices.Contains(args, want) {
					t.Errorf("no %q in %q", want, args)
				}
			}
			for _, not := range tc.not {
				if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, not) }) {
					t.Errorf("%q in %q", not, args)
				}
			}
		})
	}
}

func TestNoValueStandsAlone(t *testing.T) {
	hostile := "--dangerously-skip-permissions"
	args := claude.Args(claude.Options{
		Model: hostile, SessionID: hostile, SystemPrompt: hostile, AppendSystemPrompt: hostile,
		DisallowedTools: []string{hostile}, Policy: claude.Policy{
			Tools: []string{hostile}, Allowed: []string{hostile}, Settings: hostile,
		},
	})
	if slices.Contains(args, hostile) {
		t.Errorf("%q is an argument of its own in %q", hostile, args)
	}
}

func TestEnv(t *testing.T) {
	env := claude.Env(claude.EnvOptions{BaseURL: "http://127.0.0.1:3987", TmpDir: "/tmp/x", Retries: 2, Timeout: 1500 * time.Millisecond})
	for name, want := range map[string]string{
		"ANTHROPIC_BASE_URL": "http://127.0.0.1:3987", "CLAUDE_CODE_TMPDIR": "/tmp/x", "CLAUDE_CODE_MAX_RETRIES": "2",
		"CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1", "DISABLE_AUTOUPDATER": "1", "API_TIMEOUT_MS": "1500",
	} {
		if env[name] != want {
			t.Errorf("%s = %q, want %q", name, env[name], want)
		}
	}
	bare := claude.Env(claude.EnvOptions{})
	if bare["CLAUDE_CODE_MAX_RETRIES"] != "0" || bare["API_TIMEOUT_MS"] != "300000" {
		t.Errorf("by itself: %q", bare)
	}
	for _, name := range []string{"ANTHROPIC_BASE_URL", "CLAUDE_CODE_TMPDIR", "ANTHROPIC_API_KEY", "PATH", "HOME"} {
		if value, ok := bare[name]; ok {
			t.Errorf("%s = %q without being set", name, value)
		}
	}
}

func TestPrompt(t *testing.T) {
	for name, tc := range map[string]struct {
		input, want string
		spaced      bool
	}{
		"a command of the CLI":           {"/cost", " /cost", true},
		"a path":                         {"/etc/hosts holds what?", " /etc/hosts holds what?", true},
		"only a slash":                   {"/", " /", true},
		"a slash behind a blank":         {" /cost", " /cost", false},
		"a slash behind a line":          {"\n/cost", "\n/cost", false},
		"a byte order mark":              {"\uFEFF/cost", "\uFEFF/cost", false},
		"a dash":                         {"--help", "--help", false},
		"everything else, byte for byte": {"a\x00b\r\n@/etc/hostname !ls #x \n\n", "a\x00b\r\n@/etc/hostname !ls #x \n\n", false},
		"nothing":                        {"", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, spaced := claude.Prompt(tc.input)
			if string(got) != tc.want || spaced != tc.spaced {
				t.Errorf("Prompt(%q) = %q, %v, want %q, %v", tc.input, got, spaced, tc.want, tc.spaced)
			}
		})
	}
}
