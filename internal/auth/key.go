package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// Key is a static API key as the configuration has it: whom it stands for, and the key's hash in its place. Its text,
// an entry of SANDPIPER_API_KEYS, is NAME:[TENANT/]USER:SCOPES:SHA256, with "*" as the USER of a service and scopes
// joined by "+".
type Key struct {
	Name   string // says which key it was, in the log; unique
	Tenant string // "" is the only one of an installation without tenants
	UserID string // "" for a service, which names the user of each request
	Scopes Scopes
	Hash   Hash
}

// Hash is the SHA-256 of a key. A hash made to be slow (bcrypt, argon2) protects what people can remember; a key has 256
// random bits, which no computer can try, and each request would pay for the slowness.
type Hash [sha256.Size]byte

// HashOf is the hash of a presented key.
func HashOf(key string) Hash { return sha256.Sum256([]byte(key)) }

// keyPrefix lets a key be recognized where it does not belong, by people and by scanners of source code.
const keyPrefix = "spk_"

// NewKey makes a key. The secret is its only copy: k holds the hash.
func NewKey(name, tenant, userID string, scopes Scopes) (secret string, k Key, err error) {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails (crypto/rand)
	secret = keyPrefix + base64.RawURLEncoding.EncodeToString(raw)
	k = Key{Name: name, Tenant: tenant, UserID: userID, Scopes: scopes, Hash: HashOf(secret)}
	return secret, k, k.valid()
}

// ParseKeys reads entries that are separated by commas or white space. Its error has every fault, each with the
// entry's number: the text itself is not repeated, for somebody may have put a key there.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	var faults []error
	names, hashes := map[string]bool{}, map[Hash]bool{}
	for i, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		k, err := parseKey(entry)
		switch {
		case err != nil:
		case names[k.Name]:
			err = errors.New("has the name of an earlier one")
		case hashes[k.Hash]:
			err = errors.New("is the same key as an earlier one")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("entry %d %w", i+1, err))
			continue
		}
		names[k.Name], hashes[k.Hash] = true, true
		keys = append(keys, k)
	}
	if text != "" && len(keys) == 0 && len(faults) == 0 {
		faults = append(faults, errors.New("holds no entry"))
	}
	return keys, errors.Join(faults...)
}

func parseKey(entry string) (k Key, err error) {
	if strings.HasPrefix(entry, keyPrefix) && !strings.Contains(entry, ":") {
		return k, errors.New("is a key itself: put the entry here that `sandpiper key new` printed below it")
	}
	parts := strings.Split(entry, ":")
	if len(parts) != 4 {
		return k, errors.New("must be NAME:USER:SCOPES:SHA256, as `sandpiper key new` prints it")
	}
	k.Name = parts[0]
	tenant, user, split := strings.Cut(parts[1], "/")
	if !split {
		tenant, user = "", parts[1]
	}
	if split && tenant == "" || user == "" {
		return k, errors.New("must have USER, TENANT/USER, or * in place of USER")
	}
	if k.Tenant, err = url.PathUnescape(tenant); err != nil {
		return k, errors.New("has a tenant that is not escaped as in a URL")
	}
	if k.UserID, err = url.PathUnescape(user); err != nil {
		return k, errors.New("has a user that is not escaped as in a URL")
	}
	if user == anyUser {
		k.UserID = ""
	}
	for word := range strings.SplitSeq(parts[2], "+") {
		scope, known := ParseScope(word)
		if !known {
			return k, errors.New("must have scopes out of jobs, ops and admin, joined by +")
		}
		k.Scopes |= scope
	}
	raw, err := hex.DecodeString(parts[3])
	if err != nil || len(raw) != len(k.Hash) {
		return k, fmt.Errorf("must end with the key's SHA-256, %d hexadecimal digits", 2*len(k.Hash))
	}
	k.Hash = Hash(raw)
	return k, k.valid()
}

// anyUser stands for every user in an entry; a user of that name is escaped.
const anyUser = "*"

// valid says what is wrong with a key.
func (k Key) valid() error {
	word := func(r rune) bool {
		return strings.ContainsRune("._-", r) || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
	}
	switch {
	case k.Name == "" || len(k.Name) > 64 || strings.ContainsFunc(k.Name, func(r rune) bool { return !word(r) }):
		return errors.New("must have a name of 1 to 64 letters, digits, dots, dashes and underscores")
	case k.UserID != "" && !isID(k.UserID), k.Tenant != "" && !isID(k.Tenant):
		return fmt.Errorf("must have a user, and perhaps a tenant, of 1 to %d printable characters without blanks", maxID)
	case k.Scopes == 0:
		return errors.New("must have a scope")
	}
	return nil
}

// escape keeps the entry's own signs out of a user and a tenant.
var escape = strings.NewReplacer("%", "%25", ":", "%3A", ",", "%2C", "/", "%2F", "*", "%2A")

// String is the key's entry. It holds no secret: a hash of 256 random bits leads nowhere.
func (k Key) String() string {
	user := escape.Replace(k.UserID)
	if k.UserID == "" {
		user = anyUser
	}
	if k.Tenant != "" {
		user = escape.Replace(k.Tenant) + "/" + user
	}
	return strings.Join([]string{k.Name, user, k.Scopes.String(), hex.EncodeToString(k.Hash[:])}, ":")
}
