package config

import (
	"errors"
	"fmt"

	"sandpiper/internal/auth"
)

// Keyed reports whether callers need a key or a token. Without, whoever reaches the API may use it.
func (c Config) Keyed() bool { return c.APIKeys.Set() || c.JWTSecret.Set() }

// Keyring knows every credential that is configured; nil when none is.
func (c Config) Keyring() (*auth.Keyring, error) {
	if !c.Keyed() {
		return nil, nil
	}
	keys, err := auth.ParseKeys(c.APIKeys.Reveal())
	if err != nil {
		return nil, fmt.Errorf("read SANDPIPER_API_KEYS: %w", err)
	}
	return auth.NewKeyring(keys, auth.TokenOptions{
		Secret: []byte(c.JWTSecret.Reveal()), Issuer: c.Issuer, Audience: c.Audience,
	}), nil
}

// validKeys says what is wrong with the variables of who may call.
func (c Config) validKeys(check func(name string, err error)) {
	_, err := auth.ParseKeys(c.APIKeys.Reveal())
	check("SANDPIPER_API_KEYS", err)
	if n := len(c.JWTSecret.Reveal()); n > 0 && n < auth.MinSecret {
		check("AUTH_JWT_SECRET", fmt.Errorf("must be at least %d bytes: openssl rand -hex 32 makes one", auth.MinSecret))
	}
	for name, value := range map[string]string{"AUTH_ISSUER": c.Issuer, "AUTH_AUDIENCE": c.Audience} {
		if value != "" && !c.JWTSecret.Set() {
			check(name, errors.New("must not be set without AUTH_JWT_SECRET: it would guard nothing"))
		}
	}
}
