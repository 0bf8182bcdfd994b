package auth

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// BenchmarkIdentify is what each request pays to say who it is.
func BenchmarkIdentify(b *testing.B) {
	var keys []Key
	var last string
	for range 100 {
		secret, k, err := NewKey("k", "", "ann", Jobs)
		if err != nil {
			b.Fatal(err)
		}
		keys, last = append(keys, k), secret
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claimsOf(nil)).SignedString(secret)
	if err != nil {
		b.Fatal(err)
	}
	for name, of := range map[string]struct {
		keys      []Key
		presented string
	}{"one key": {keys[99:], last}, "one of 100 keys": {keys, last}, "a token": {nil, token}} {
		b.Run(name, func(b *testing.B) {
			ring := NewKeyring(of.keys, TokenOptions{Secret: secret, Now: clock})
			for b.Loop() {
				if _, err := ring.Identify(of.presented); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
