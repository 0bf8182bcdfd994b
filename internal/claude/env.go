package claude

// Env is what a run's environment holds besides what every sandbox has (PATH, HOME, LANG) and the key, which is
// never in it. baseURL is the address of the Messages API, "" for the CLI's own; tmpDir is where the CLI keeps its
// temporary files, "" for the system's.
//
// Measured on 2.1.330 and 2.1.197; 1.0.83 ignores most of them.
func Env(baseURL, tmpDir string) map[string]string {
	env := map[string]string{
		// Without these two the CLI looks up other hosts.
		"DISABLE_AUTOUPDATER":                      "1",
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
		// The default of 10 retries is 200 s inside the CLI, while a job could wait in the queue instead.
		"CLAUDE_CODE_MAX_RETRIES": "2",
		// A server that never answers, per attempt, in milliseconds.
		"API_TIMEOUT_MS": "300000",
		// A cut stream is otherwise asked, and paid, a second time without streaming.
		"CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
		// A shell in the background otherwise holds a finished run for 600 s.
		"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
		// "@/etc/hostname" in a prompt otherwise attaches that file.
		"CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
	}
	if baseURL != "" {
		env["ANTHROPIC_BASE_URL"] = baseURL
	}
	if tmpDir != "" {
		// A shared temporary directory that another user's CLI made first makes 2.1.330 refuse to start.
		env["CLAUDE_CODE_TMPDIR"] = tmpDir
	}
	return env
}
