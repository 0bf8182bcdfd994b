package job

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"
	"time"
)

// NewID makes an id for a job in the guide's form, job_<Unix milliseconds>_<random>, with enough randomness for
// bulk submissions: 80 bits.
func NewID(now time.Time) string { return fmt.Sprintf("job_%d_%s", now.UnixMilli(), random()) }

// NewRunID makes an id for a run. It is a folder's name in the sandbox and part of a marker in the environment, so
// it holds letters, digits and underscores only.
func NewRunID() string { return "run_" + random() }

// NewSandboxID makes an id for a sandbox. It is the sandbox's name on the platform too.
func NewSandboxID() string { return "sbx_" + random() }

// NewToken makes an unguessable word, for a claim or a worker.
func NewToken() string { return random() }

var lower = base32.StdEncoding.WithPadding(base32.NoPadding)

func random() string {
	b := make([]byte, 10)
	rand.Read(b) // never fails (crypto/rand)
	return strings.ToLower(lower.EncodeToString(b))
}
