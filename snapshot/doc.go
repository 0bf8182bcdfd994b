// Package snapshot is the definition of the sandbox image: its Dockerfile, the workspace tree below /home/daytona,
// the tool policy of every run, and which claude command it holds. The local Daytona makes its sandboxes from the
// same definition, so both start with the same files.
//
// It is data with a few readers; it does no I/O. The Dockerfile and the manifest say the same thing twice, because
// a platform builds from the one and this program from the other: a test runs the Dockerfile's own lines and
// compares.
//
// # The policy
//
// The keys allowedTools and deniedTools, which many guides put in settings.json, are ignored by the CLI. What
// counts (measured on 2.1.330) is which tools exist (--tools), the allow and deny rules (--allowedTools and
// permissions in --settings), and the check that the CLI itself makes of each shell command.
//
//   - Read, Glob, Grep and the shell commands in Commands need no rule: inside the working directory the CLI runs
//     them, because it finds them read-only, and outside it refuses them.
//   - They get no rule on purpose. An allow rule like Bash(cat:*) would switch that check off: with it
//     `echo /etc/hostname | xargs cat` reads files outside, also those of the run directory; Bash(jq:*) prints the
//     environment with the API key (`jq -n env`); Bash(rg:*) runs any program (`rg --pre`).
//   - Edit(./**) lets Write, Edit and redirection write inside the working directory only. A bare Write would
//     write anywhere.
//   - `find -delete` and `find -exec` are refused under any rule.
//   - TodoWrite exists only with CLAUDE_CODE_ENABLE_TASKS=0; LS, MultiEdit and NotebookRead do not exist any more.
//   - The deny rules hold back the run directory, and the commands that an operator may not want even if somebody
//     allows more. A deny list is no boundary; the sandbox is.
package snapshot
