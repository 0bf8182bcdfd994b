package snapshots

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// The guide's names end with the time in UTC, in a form that no shell and no URL minds.
const (
	infix   = "-snapshot-"
	seconds = "2006-01-02T15-04-05"
)

// Name is the guide's name of a snapshot that is built at a time, such as "omni-snapshot-2025-08-18T21-57-49-580Z".
func Name(prefix string, at time.Time) string {
	at = at.UTC()
	return fmt.Sprintf("%s%s%s-%03dZ", prefix, infix, at.Format(seconds), at.Nanosecond()/1e6)
}

var tail = regexp.MustCompile(`^(.+)-(\d{3})Z$`)

// At is when the snapshot of a name was built; false means that the name is none of Name's with this prefix.
func At(prefix, name string) (time.Time, bool) {
	rest, ours := strings.CutPrefix(name, prefix+infix)
	parts := tail.FindStringSubmatch(rest)
	if !ours || parts == nil {
		return time.Time{}, false
	}
	at, err := time.Parse(seconds+".000", parts[1]+"."+parts[2])
	return at, err == nil && Name(prefix, at) == name
}
