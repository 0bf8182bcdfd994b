package claude

// The log lines around preflight, in the guide's words. Every job shows them in this order: JobStarted, the lines of
// LogLines, Executing, and for an answer ResponseLine.
const (
	JobStarted = "job started"
	Executing  = "executing claude command"
)

// LogLine is one line for people; Level is "info" or "warn".
type LogLine struct{ Level, Text string }

// LogLines are the guide's lines for what preflight found, same texts and order, also when p comes from a cache.
// host is Endpoint.Host. A check that failed adds a warning right behind its line and is never fatal; nothing
// follows a command that is not there.
func (p Preflight) LogLines(host string) []LogLine {
	if !p.VersionOK() {
		return nil // the guide shows no line here: the error CLAUDE_NOT_AVAILABLE follows
	}
	key := "missing"
	if p.KeyPresent {
		key = "present"
	}
	lines := []LogLine{info("claude --version OK")}
	if p.Claude == CheckSlow {
		lines = append(lines, warn("claude --version took longer than 4 s"))
	}
	lines = append(lines, info("ANTHROPIC_API_KEY: "+key), info("dns preflight: "+host))
	switch p.DNS {
	case CheckFailed:
		lines = append(lines, warn("dns preflight failed: "+host))
	case CheckUnknown:
		lines = append(lines, warn("dns preflight not possible: no nslookup or getent in the sandbox"))
	}
	lines = append(lines, info("https preflight: "+host))
	switch p.HTTPS {
	case CheckFailed:
		lines = append(lines, warn("https preflight failed: "+host))
	case CheckUnknown:
		lines = append(lines, warn("https preflight not possible: no curl in the sandbox"))
	}
	return lines
}

// ResponseLine is the guide's line for an answer: its first 100 characters and three dots, always.
func ResponseLine(answer string) string { return "claude response: " + first(answer, 100) + "..." }

func info(text string) LogLine { return LogLine{"info", text} }
func warn(text string) LogLine { return LogLine{"warn", text} }
