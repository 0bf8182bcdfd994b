package telemetry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"sandpiper/internal/job"
)

// Reasons for a job's return to the queue that are no code of a failure.
const (
	PlatformAway = "platform_away" // the sandbox platform did not answer
	WorkerGone   = "worker_gone"   // its worker went away before it had launched anything
)

// other stands for whatever is not known: a value from outside must not make a time series.
const other = "other"

// families of models. A caller may name any model.
var families = []string{"sonnet", "opus", "haiku"}

func family(model string) string {
	for _, known := range families {
		if strings.Contains(model, known) {
			return known
		}
	}
	return other
}

// code is the label of a failure's code, "" for none.
func code(c job.Code) string {
	if c == "" || documented[c] {
		return string(c)
	}
	return other
}

var documented = func() map[job.Code]bool {
	all := map[job.Code]bool{}
	for _, d := range job.Codes {
		all[d.Code] = true
	}
	return all
}()

// reason is the label of a requeue: a code, or one of our words.
func reason(word string) string {
	if word == PlatformAway || word == WorkerGone {
		return word
	}
	if word == "" {
		return other
	}
	return code(job.Code(word))
}

// yes is the label of something that went well or did not.
func yes(ok bool) string {
	if ok {
		return "true"
	}
	return "false"
}

// Fingerprint is the label of a key: it tells two keys apart and helps nobody to guess one, because only who knows the
// installation's id can compute it, and six bytes of it say less than a guess must know. "" has the fingerprint "none".
func Fingerprint(installation, key string) string {
	if key == "" {
		return "none"
	}
	h := hmac.New(sha256.New, []byte("metrics\x00"+installation))
	h.Write([]byte(key))
	return hex.EncodeToString(h.Sum(nil)[:6])
}
