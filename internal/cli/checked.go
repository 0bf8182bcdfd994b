package cli

// Mark is how a check went: "ok", "failed" or "skipped".
type Mark string

// Checked writes one check: a mark, what was looked at, what was found and, where it failed, what to do.
func (s *Screen) Checked(m Mark, name, found, remedy string) {
	sign, p := "✓", green
	switch m {
	case "failed":
		sign, p = "✗", red
	case "skipped":
		sign, p = "·", dim
	}
	text := name
	if found != "" {
		text += ": " + found
	}
	s.Line("%s %s", s.paint(p, sign), oneLine(text))
	if m == "failed" && remedy != "" {
		s.Line("    %s %s", s.paint(amber, "→"), oneLine(remedy))
	}
}
