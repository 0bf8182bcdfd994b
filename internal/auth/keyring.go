package auth

import (
	"crypto/subtle"
	"fmt"
)

// Keyring knows every credential that is taken. It is safe for concurrent use, and never changes.
type Keyring struct {
	keys   []Key
	tokens *tokens // nil takes none
}

// NewKeyring makes a keyring of keys and of what tokens are taken.
func NewKeyring(keys []Key, o TokenOptions) *Keyring {
	return &Keyring{keys: keys, tokens: newTokens(o)}
}

// Identify says whom a presented key or token stands for. Errors are ErrNone, ErrRefused with a reason for the log, and
// ErrExpired.
func (k *Keyring) Identify(presented string) (Identity, error) {
	if presented == "" {
		return Identity{}, ErrNone
	}
	if found, ok := k.key(presented); ok {
		return Identity{Name: found.Name, Tenant: found.Tenant, UserID: found.UserID, Scopes: found.Scopes}, nil
	}
	if k.tokens == nil {
		return Identity{}, fmt.Errorf("%w: no such key", ErrRefused)
	}
	return k.tokens.identify(presented)
}

// key finds a key by its hash. Every one is compared, each in the same time, so that how long it takes says nothing
// about which hash was nearly met. Whoever presents keys cannot steer their hashes, so this is a second lock; it costs
// some 40 ns a key (BenchmarkIdentify).
func (k *Keyring) key(presented string) (found Key, ok bool) {
	hash := HashOf(presented)
	for i := range k.keys {
		if subtle.ConstantTimeCompare(hash[:], k.keys[i].Hash[:]) == 1 {
			found, ok = k.keys[i], true
		}
	}
	return found, ok
}
