package snapshots

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"sandpiper/snapshot"
)

// Recipe is everything that goes into a snapshot.
type Recipe struct {
	Dockerfile string // its text; without a build context
	From       string // FromFile, or what Own says

	CPU, MemoryGiB, DiskGiB int // of its sandboxes; 0 leaves it to the platform

	files string // hash of files that belong to it and that the Dockerfile repeats; "" for none
}

// What a snapshot was created from, in the cache file.
const (
	ownFrom  = "current-dockerfile" // the guide's word: this program's own
	FromFile = "dockerfile"         // one that an operator gave
)

// Own is the recipe of this program's sandboxes: the folder snapshot/ of its source.
func Own() Recipe {
	return Recipe{Dockerfile: snapshot.Dockerfile, From: ownFrom, files: snapshot.Hash()}
}

// Hash is the SHA-256, in hexadecimal, of all of it.
func (r Recipe) Hash() string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %d", r.files, r.Dockerfile, r.CPU, r.MemoryGiB, r.DiskGiB))
	return hex.EncodeToString(h[:])
}

// mark begins the comment in which a Dockerfile carries its recipe's hash. Platforms keep the text with the snapshot.
const mark = "# sandpiper-content: sha256:"

// text is the Dockerfile as a platform gets it.
func (r Recipe) text() string {
	return strings.TrimRight(r.Dockerfile, "\n") + "\n" + mark + r.Hash() + "\n"
}

// hashIn is the hash that a Dockerfile carries, "" when it carries none.
func hashIn(dockerfile string) (hash string) {
	for line := range strings.Lines(dockerfile) {
		if found, ok := strings.CutPrefix(strings.TrimSpace(line), mark); ok {
			hash = found
		}
	}
	return hash
}

// Validate says what no platform could build. There is no build context: what a Dockerfile copies must come from another
// of its stages, and what it adds from the network.
func (r Recipe) Validate() error {
	var faults []error
	begun := false
	for number, line := range instructions(r.Dockerfile) {
		words := strings.Fields(line)
		switch word := strings.ToUpper(words[0]); {
		case word == "FROM":
			begun = true
		case word == "COPY" && !strings.Contains(line, "--from="):
			faults = append(faults, fmt.Errorf("line %d: COPY needs --from=STAGE: a snapshot is built without a build context; write files with RUN echo", number))
		case word == "ADD" && !strings.Contains(line, "://"):
			faults = append(faults, fmt.Errorf("line %d: ADD needs a URL: a snapshot is built without a build context; write files with RUN echo", number))
		}
	}
	if !begun {
		faults = append(faults, errors.New("it has no FROM"))
	}
	return errors.Join(faults...)
}

// instructions are those of a Dockerfile by the number of their first line, continued lines joined, comments left out.
func instructions(dockerfile string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		number, first, whole := 0, 0, ""
		for line := range strings.Lines(dockerfile) {
			number++
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if whole == "" {
				first = number
			}
			more, continued := strings.CutSuffix(line, `\`)
			if whole += more + " "; continued {
				continue
			}
			if !yield(first, whole) {
				return
			}
			whole = ""
		}
		if strings.TrimSpace(whole) != "" {
			yield(first, whole)
		}
	}
}
