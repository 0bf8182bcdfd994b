package offline

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Opening begins every answer.
const Opening = "This is Sandpiper's offline model, not Claude: "

// Answer is what the offline model says to a conversation of these prompts, oldest first; the last one is asked.
func Answer(prompts []string) string {
	if len(prompts) == 0 {
		return Opening + "there is no prompt to look at."
	}
	prompt := prompts[len(prompts)-1]
	if sum, ok := Sum(prompt); ok {
		return Opening + "it can do plain sums and little else. " + sum
	}
	if asksName(prompt) {
		return Opening + nameIn(prompts)
	}
	return Opening + "it cannot think, it can only say what it sees. " + describe(prompt) +
		" Set ANTHROPIC_API_KEY to have Claude answer."
}

// describe counts what is in the prompt and shows how it begins.
func describe(prompt string) string {
	words, lines := len(strings.Fields(prompt)), strings.Count(strings.TrimRight(prompt, "\n"), "\n")+1
	text := fmt.Sprintf("Your prompt has %s and %s on %s.",
		plural(words, "word"), plural(utf8.RuneCountInString(prompt), "character"), plural(lines, "line"))
	if first := firstLine(prompt); first != "" {
		text += fmt.Sprintf(" It begins: “%s”.", first)
	}
	return text
}

// firstLine is the first line that holds something, at most 80 characters of it, without control characters: what
// it shows may end on a terminal.
func firstLine(prompt string) string {
	for line := range strings.Lines(prompt) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, line))
		if line == "" {
			continue
		}
		if runes := []rune(line[:min(len(line), 400)]); len(runes) > 80 {
			return string(runes[:80]) + "…"
		}
		return line
	}
	return ""
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

var nameQuestion = regexp.MustCompile(`(?i)\b(what('s| is) my name|who am i)\b`)

// nameGiven is large, and is made when the first name is looked for.
var nameGiven = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)\bmy name is ([\p{L}][\p{L}'-]{0,40})`) })

func asksName(prompt string) bool { return len(prompt) < 200 && nameQuestion.MatchString(prompt) }

// nameIn looks for a name in the conversation, newest prompt first.
func nameIn(prompts []string) string {
	for i := len(prompts) - 1; i >= 0; i-- {
		if found := nameGiven().FindStringSubmatch(prompts[i]); found != nil {
			return fmt.Sprintf("it remembers nothing, but this conversation says “%s”. Your name is %s.", found[0], found[1])
		}
	}
	return "it looked for “my name is” in this conversation and did not find it."
}
