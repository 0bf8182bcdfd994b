package config

import (
	"strings"
	"testing"

	"sandpiper/internal/auth"
)

// entry is a key of ann's, as the configuration has it, and the key.
func entry(t *testing.T) (line, secret string) {
	t.Helper()
	secret, k, err := auth.NewKey("ann", "acme", "ann", auth.Jobs)
	if err != nil {
		t.Fatal(err)
	}
	return k.String(), secret
}

func TestWithKeysTheAPIMayListenAnywhere(t *testing.T) {
	line, secret := entry(t)
	for name, vars := range map[string][]string{
		"keys":   {"SANDPIPER_API_KEYS=" + line},
		"tokens": {"AUTH_JWT_SECRET=" + strings.Repeat("s", 32), "AUTH_ISSUER=i", "AUTH_AUDIENCE=a"},
	} {
		for _, addr := range []string{"0.0.0.0:8787", ":8787", "10.1.2.3:80", "[::]:8787", "127.0.0.1:8787"} {
			c, err := Load(append(vars, "SANDPIPER_ADDR="+addr), RoleUp)
			if err != nil || !c.Keyed() {
				t.Errorf("%s, on %s: %v", name, addr, err)
			}
			if _, err := Load([]string{"SANDPIPER_ADDR=" + addr}, RoleUp); (err == nil) != (addr == "127.0.0.1:8787") {
				t.Errorf("without keys, on %s: %v", addr, err)
			}
		}
	}
	c, err := Load([]string{"SANDPIPER_API_KEYS=" + line}, RoleUp)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := c.Keyring()
	if err != nil {
		t.Fatal(err)
	}
	if who, err := ring.Identify(secret); err != nil || who.UserID != "ann" || who.Tenant != "acme" {
		t.Errorf("Identify = %+v, %v", who, err)
	}
}

func TestWithoutKeysThereIsNoKeyring(t *testing.T) {
	for _, vars := range [][]string{nil, {"SANDPIPER_API_KEYS=", "AUTH_JWT_SECRET="}} {
		c, err := Load(vars, RoleUp)
		if err != nil {
			t.Fatal(err)
		}
		if ring, err := c.Keyring(); ring != nil || err != nil || c.Keyed() {
			t.Errorf("%q: a keyring %v, %v", vars, ring, err)
		}
	}
}

func TestFaultsOfKeysNameTheVariableAndNeverTheValue(t *testing.T) {
	line, _ := entry(t)
	for name, tc := range map[string]struct{ given, want string }{
		"a key itself":             {"SANDPIPER_API_KEYS=spk_hush", "SANDPIPER_API_KEYS entry 1 is a key itself"},
		"a bad entry":              {"SANDPIPER_API_KEYS=" + line + ",hush:hush", "SANDPIPER_API_KEYS entry 2 must be"},
		"a short secret":           {"AUTH_JWT_SECRET=hush", "AUTH_JWT_SECRET must be at least 32 bytes"},
		"an issuer, no secret":     {"AUTH_ISSUER=hush", "AUTH_ISSUER must not be set without AUTH_JWT_SECRET"},
		"an audience, no secret":   {"AUTH_AUDIENCE=hush", "AUTH_AUDIENCE must not be set without AUTH_JWT_SECRET"},
		"what comes later":         {"AUTH_JWKS_URL=https://hush.example", "AUTH_JWKS_URL is not available yet"},
		"no keys, another address": {"SANDPIPER_ADDR=0.0.0.0:8787", "SANDPIPER_ADDR must be a loopback address"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load([]string{tc.given}, RoleUp)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: %v, want %q", tc.given, err, tc.want)
			}
		})
	}
}
