package claude

import (
	"fmt"
	"strconv"
	"strings"
)

// Check is what one look of preflight found.
type Check string

// The outcomes of a check.
const (
	CheckOK      Check = "ok"
	CheckFailed  Check = "failed"
	CheckSkipped Check = "skipped" // there is nothing to look up
	CheckUnknown Check = "unknown" // the tool for it is not in the sandbox
	CheckSlow    Check = "slow"    // it took longer than the limit, and was ended
)

// Preflight is what a sandbox says of itself before a launch.
type Preflight struct {
	Claude     Check  // claude --version: ok, failed (missing or broken) or slow (there, but the machine is busy)
	Version    string // what it printed, "2.1.330 (Claude Code)"; "" unless ok
	KeyPresent bool
	KeyLength  int // bytes; the key itself never leaves the sandbox
	DNS        Check
	HTTPS      Check
	Clock      int64 // the sandbox's clock, Unix milliseconds
}

// VersionOK reports whether the command can be run. A version that did not come in time is no reason to fail: fifty
// starts at once on two cores take longer than any limit worth having.
func (p Preflight) VersionOK() bool { return p.Claude == CheckOK || p.Claude == CheckSlow }

// mark begins each line that is for us; whatever else a session prints is ignored.
const mark = "preflight: "

// script is run by a POSIX shell that has other work to do: all of it stands in a subshell, which never exits the
// session's shell, sets nothing in it, and waits for its own children only. -x is off before the key is named.
// Every look has its limit, 4 s in the worst case, and they run side by side.
const script = `(
{ set +xeu; } 2>/dev/null
unalias -a 2>/dev/null
say() { printf 'preflight: %%s\n' "$*"; }
within() { if command -v timeout >/dev/null 2>&1; then timeout "$@"; else shift; "$@"; fi; }
{
  v=$(within 4 claude --version 2>/dev/null </dev/null); c=$?
  v=$(printf '%%s' "$v" | head -n 1 | cut -c 1-100)
  say "claude=$c $v"
} &
{
  dns=%s; host=%s
  if [ "$dns" = look ]; then
    dns=unknown
    for tool in 'nslookup -timeout=2 -retry=0' 'getent hosts'; do
      command -v ${tool%%%% *} >/dev/null 2>&1 || continue
      if within 2 $tool "$host" >/dev/null 2>&1 </dev/null; then dns=ok; break; fi
      dns=failed
    done
  fi
  say "dns=$dns"
} &
{
  https=unknown
  if command -v curl >/dev/null 2>&1; then
    https=failed
    curl -q -g -s --head -o /dev/null --connect-timeout 3 --max-time 4 -- %s </dev/null >/dev/null 2>&1 && https=ok
  fi
  say "https=$https"
} &
if [ -n "${ANTHROPIC_API_KEY:-}" ]; then say "key=${#ANTHROPIC_API_KEY}"; else say "key=0"; fi
now=$(date +%%s%%3N 2>/dev/null)
case $now in ''|*[!0-9]*) now=$(date +%%s)000;; esac
say "clock=$now"
wait
say end
)
`

// PreflightScript is the look at a sandbox, in one round trip of a session. Nothing of a user is in it. Its first
// lookup is the guide's nslookup; getent follows, because the CLI resolves names as getent does, and because
// nslookup is not everywhere.
func PreflightScript(e Endpoint) string {
	dns := "look"
	if e.Literal {
		dns = string(CheckSkipped)
	}
	return fmt.Sprintf(script, dns, quote(e.Host), quote(e.URL))
}

// quote makes one word of s for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// ParsePreflight reads what the script printed, among whatever else the session printed. An error means that the
// script did not come to its end.
func ParsePreflight(out string) (Preflight, error) {
	found := map[string]string{}
	ended := false
	for line := range strings.Lines(out) {
		said, ours := strings.CutPrefix(strings.TrimRight(line, "\r\n"), mark)
		if !ours {
			continue
		}
		if name, value, ok := strings.Cut(said, "="); ok {
			found[name] = value
		} else if said == "end" {
			ended = true
		}
	}
	p := Preflight{DNS: check(found["dns"]), HTTPS: check(found["https"])}
	p.Claude, p.Version = version(found["claude"])
	length, keyErr := strconv.ParseUint(found["key"], 10, 31)
	p.KeyLength, p.KeyPresent = int(length), length > 0
	clock, clockErr := strconv.ParseUint(found["clock"], 10, 62)
	p.Clock = int64(clock)
	if !ended || found["claude"] == "" || keyErr != nil || clockErr != nil {
		return Preflight{}, fmt.Errorf("preflight did not come to its end: %q", oneLine(out))
	}
	return p, nil
}

// version reads "0 2.1.330 (Claude Code)": an exit code and what was printed. 124 is timeout's.
func version(said string) (Check, string) {
	code, text, _ := strings.Cut(said, " ")
	switch code {
	case "0":
		return CheckOK, oneLine(text)
	case "124":
		return CheckSlow, ""
	}
	return CheckFailed, ""
}

func check(said string) Check {
	switch c := Check(said); c {
	case CheckOK, CheckFailed, CheckSkipped:
		return c
	}
	return CheckUnknown
}
