package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// notYet are the options of the contract that this version does not have. They are refused by name: a job that ran
// without what was asked for would be worse than none.
var notYet = []string{
	"runAfter", "maxBudgetUsd", "jsonSchema", "mcpServers",
	"env", "files", "artifacts", "repo", "webhookUrl",
}

// unavailable is the fault of a field in notYet.
type unavailable struct{ job.FieldError }

// submission is a valid body of POST /api/knowledge/process.
type submission struct {
	userID string
	spec   job.Spec
	body   []byte // canonical
}

// decodeSubmission reads a body, or returns every fault of it. own is the user that it may leave out, "" for none.
func decodeSubmission(raw []byte, own string) (submission, error) {
	o, err := parseObject(raw)
	if err != nil {
		return submission{}, err
	}
	userID := o.userID(own)
	spec := o.spec()
	spec.SandboxID = o.text("sandboxId")
	o.notEmpty("sandboxId", spec.SandboxID, "must not be empty; leave it out to have one chosen")
	o.check(spec.Validate(), "input") // before defaults: a given "" or 0 is a fault too
	if err := o.done(); err != nil {
		return submission{}, err
	}
	if spec.SandboxID != "" && !isID(spec.SandboxID) {
		return submission{}, job.ErrSandboxNotFound
	}
	body, err := o.canonical()
	return submission{userID, spec.WithDefaults(), body}, err
}

// spec takes what a prompt has, alone or as a line of a batch.
func (o *object) spec() job.Spec {
	spec := job.Spec{
		Input:        o.text("input"),
		Model:        o.text("model"),
		OutputFormat: job.Format(o.text("outputFormat")),
		Timeout:      seconds(o.whole("timeoutSeconds")),
		Priority:     job.Priority(o.text("priority")),
		Metadata:     o.texts("metadata"),
	}
	o.options(&spec)
	return spec
}

// decodeUser reads a body that only says who asks. own is the user that it may leave out, "" for none.
func decodeUser(raw []byte, own string) (userID string, err error) {
	o, err := parseObject(raw)
	if err != nil {
		return "", err
	}
	userID = o.userID(own)
	return userID, o.done()
}

// userID takes the field that says who asks. Without it, and without a user to whom the credential belongs, nobody does.
func (o *object) userID(own string) string {
	if !o.has("userId") && own != "" {
		return own
	}
	id := o.text("userId")
	o.check(job.ValidateUserID(id), "userId")
	return id
}

// seconds makes a duration that is out of range when n is: it must not come back into range by overflow.
func seconds(n int64) time.Duration {
	most := int64(job.MaxTimeout/time.Second) + 1
	return time.Duration(min(max(n, -1), most)) * time.Second
}

// keyOf reads the Idempotency-Key header. Its fingerprint stands for the body, who sent it, and what it is to do: "" is to
// run a prompt.
func keyOf(h http.Header, c auth.Caller, deed string, body []byte) (store.Key, error) {
	names := h.Values("Idempotency-Key")
	if len(names) == 0 {
		return store.Key{}, nil
	}
	visible := func(r rune) bool { return r > ' ' && r < 0x7f }
	if len(names) > 1 || names[0] == "" || len(names[0]) > 255 ||
		strings.ContainsFunc(names[0], func(r rune) bool { return !visible(r) }) {
		return store.Key{}, errKey
	}
	sum := sha256.New()
	from := []string{c.Tenant, c.UserID}
	if deed != "" {
		from = append(from, deed)
	}
	if err := json.NewEncoder(sum).Encode(from); err != nil {
		return store.Key{}, err
	}
	sum.Write(body)
	return store.Key{Name: names[0], Fingerprint: sum.Sum(nil)}, nil
}

// isID reports whether s could be an id of ours. Anything else need not be looked up.
func isID(s string) bool {
	word := func(r rune) bool {
		return r == '_' || r == '-' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
	}
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return !word(r) })
}

// unquote decodes a JSON string that is known to be valid.
func unquote(quoted []byte) (s string) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	json.Unmarshal(quoted, &s) // cannot fail: it is a string of valid JSON
	return s
}

// firstToken is the name of the field of a body that a pointer leads into.
func firstToken(pointer string) string {
	token, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	return unescapeToken.Replace(token)
}

var unescapeToken = strings.NewReplacer("~1", "/", "~0", "~") // made once: every line of a batch comes here
