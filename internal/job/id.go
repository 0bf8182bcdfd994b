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

// NewBatchID makes an id for a batch.
func NewBatchID() string { return "batch_" + random() }

// NewConversationID makes an id for a conversation: a random UUID, the only form that the command takes for a session.
func NewConversationID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4, RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// NewToken makes an unguessable word, for a claim or a worker.
func NewToken() string { return random() }

var lower = base32.StdEncoding.WithPadding(base32.NoPadding)

func random() string {
	b := make([]byte, 10)
	rand.Read(b) // never fails (crypto/rand)
	return strings.ToLower(lower.EncodeToString(b))
}
