package claude

import (
	"cmp"
	"strconv"
	"time"
)

// MostRetries is how often the CLI asks again at most, whatever it is told (2.1.330: 99 becomes 15).
const MostRetries = 15

// EnvOptions are what differs between installations. Zero values are good.
type EnvOptions struct {
	UserID  string        // whose prompt it is; "" is not said
	BaseURL string        // of the Messages API; "" is the CLI's own
	TmpDir  string        // where the CLI keeps its temporary files; "" is the system's
	Retries int           // how often the CLI asks the API again by itself, up to MostRetries; 0 is never
	Timeout time.Duration // for an API that never answers, each time it is asked; 0 means 5 minutes
}

// Env is what a run's environment holds besides what every sandbox has (PATH, HOME, LANG) and the key, which is
// never in it.
//
// Measured on 2.1.330 and 2.1.197; 1.0.83 ignores most of them.
func Env(o EnvOptions) map[string]string {
	timeout := cmp.Or(o.Timeout, 5*time.Minute)
	env := map[string]string{
		// Without these two the CLI looks up other hosts.
		"DISABLE_AUTOUPDATER":                      "1",
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
		// The default of 10 retries is 200 s inside the CLI, while a job could wait in the queue instead.
		"CLAUDE_CODE_MAX_RETRIES": strconv.Itoa(o.Retries),
		// The CLI's own default is six minutes.
		"API_TIMEOUT_MS": strconv.FormatInt(timeout.Milliseconds(), 10),
		// A cut stream is otherwise asked, and paid, a second time without streaming.
		"CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
		// A shell in the background otherwise holds a finished run for 600 s.
		"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
		// "@/etc/hostname" in a prompt otherwise attaches that file.
		"CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
	}
	if o.UserID != "" {
		// A warm sandbox was made before anybody knew whose it would be, and environments of sandboxes do not change.
		env["USER_ID"] = o.UserID
	}
	if o.BaseURL != "" {
		env["ANTHROPIC_BASE_URL"] = o.BaseURL
	}
	if o.TmpDir != "" {
		// A shared temporary directory that another user's CLI made first makes 2.1.330 refuse to start.
		env["CLAUDE_CODE_TMPDIR"] = o.TmpDir
	}
	return env
}
