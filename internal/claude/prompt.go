package claude

import "strings"

// Prompt is what goes to the command's standard input: the input, byte for byte. One that begins with a slash gets
// one leading space, or the CLI would take it for a command of its own ("/cost" is answered without asking the
// model); spaced says so. That space is the only byte ever added.
func Prompt(input string) (stdin []byte, spaced bool) {
	if strings.HasPrefix(input, "/") {
		return []byte(" " + input), true
	}
	return []byte(input), false
}
