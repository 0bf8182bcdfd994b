package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	secret = []byte(strings.Repeat("s", MinSecret))
	noon   = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
)

func clock() time.Time { return noon }

// signed makes a token of claims, signed by us unless method and key say otherwise.
func signed(t *testing.T, c jwt.MapClaims, method jwt.SigningMethod, key any) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// claimsOf are those of a good token, changed.
func claimsOf(change jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "ann", "exp": noon.Add(time.Hour).Unix()}
	for name, value := range change {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

func TestATokenSaysWho(t *testing.T) {
	ring := NewKeyring(nil, TokenOptions{Secret: secret, Now: clock})
	for name, tc := range map[string]struct {
		claims jwt.MapClaims
		want   Identity
	}{
		"a user":                   {nil, Identity{UserID: "ann", Scopes: Jobs}},
		"of a tenant":              {jwt.MapClaims{"tenant": "acme"}, Identity{Tenant: "acme", UserID: "ann", Scopes: Jobs}},
		"scope as text":            {jwt.MapClaims{"scope": "openid jobs ops"}, Identity{UserID: "ann", Scopes: Jobs | Ops}},
		"scopes as a list":         {jwt.MapClaims{"scopes": []string{"ops", "profile"}}, Identity{UserID: "ann", Scopes: Ops}},
		"scopes as text":           {jwt.MapClaims{"scopes": "admin"}, Identity{UserID: "ann", Scopes: Admin}},
		"both":                     {jwt.MapClaims{"scope": "jobs", "scopes": []string{"ops"}}, Identity{UserID: "ann", Scopes: Jobs | Ops}},
		"scopes, and none is":      {jwt.MapClaims{"scope": ""}, Identity{UserID: "ann"}},
		"scopes of others only":    {jwt.MapClaims{"scopes": []string{"openid"}}, Identity{UserID: "ann"}},
		"an issuer that none asks": {jwt.MapClaims{"iss": "https://any.example"}, Identity{UserID: "ann", Scopes: Jobs}},
		"a user called *":          {jwt.MapClaims{"sub": "*"}, Identity{UserID: "*", Scopes: Jobs}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.want.Name, tc.want.Expires = "jwt", noon.Add(time.Hour)
			got, err := ring.Identify(signed(t, claimsOf(tc.claims), jwt.SigningMethodHS256, secret))
			if got.Expires.Equal(tc.want.Expires) {
				got.Expires = tc.want.Expires // whatever its zone
			}
			if err != nil || got != tc.want {
				t.Errorf("Identify = %+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
}

func TestATokenMustBeOurs(t *testing.T) {
	public, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ours := func(c jwt.MapClaims) string { return signed(t, claimsOf(c), jwt.SigningMethodHS256, secret) }
	good := ours(jwt.MapClaims{"iss": "https://login.example", "aud": "sandpiper"})
	fitting := jwt.MapClaims{"iss": "https://login.example", "aud": []string{"x", "sandpiper"}}
	with := func(name string, value any) string {
		c := jwt.MapClaims{name: value}
		for k, v := range fitting {
			if _, given := c[k]; !given {
				c[k] = v
			}
		}
		return ours(c)
	}
	parts := strings.Split(good, ".")
	for name, tc := range map[string]struct {
		token string
		want  error
	}{
		"good":                       {good, nil},
		"good, one of two audiences": {ours(fitting), nil},
		"expired":                    {with("exp", noon.Add(-time.Second).Unix()), ErrExpired},
		"expired now":                {with("exp", noon.Unix()), ErrExpired},
		"expired, and of another":    {ours(jwt.MapClaims{"exp": noon.Add(-time.Hour).Unix(), "iss": "x", "aud": "sandpiper"}), ErrRefused},
		"without an end":             {with("exp", nil), ErrRefused},
		"an end that is no number":   {with("exp", "tomorrow"), ErrRefused},
		"not valid yet":              {with("nbf", noon.Add(time.Minute).Unix()), ErrRefused},
		"another issuer":             {with("iss", "https://evil.example"), ErrRefused},
		"no issuer":                  {with("iss", nil), ErrRefused},
		"another audience":           {with("aud", "other"), ErrRefused},
		"no audience":                {with("aud", nil), ErrRefused},
		"no user":                    {with("sub", nil), ErrRefused},
		"a user with blanks":         {with("sub", "a b"), ErrRefused},
		"a user that is a number":    {with("sub", 7), ErrRefused},
		"a tenant with blanks":       {with("tenant", "a\nb"), ErrRefused},
		"a tenant that is a list":    {with("tenant", []string{"acme"}), ErrRefused},
		"scopes that are a number":   {with("scopes", 7), ErrRefused},
		"another secret":             {signed(t, claimsOf(fitting), jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32))), ErrRefused},
		"expired, another secret":    {signed(t, claimsOf(jwt.MapClaims{"exp": 1}), jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32))), ErrRefused},
		"HS384 with our secret":      {signed(t, claimsOf(fitting), jwt.SigningMethodHS384, secret), ErrRefused},
		"RS256":                      {signed(t, claimsOf(fitting), jwt.SigningMethodRS256, public), ErrRefused},
		"none":                       {signed(t, claimsOf(fitting), jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType), ErrRefused},
		"no signature":               {parts[0] + "." + parts[1] + ".", ErrRefused},
		"another's claims":           {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"bob","exp":9999999999}`)) + "." + parts[2], ErrRefused},
		"a part more":                {good + ".x", ErrRefused},
		"a blank before it":          {" " + good, ErrRefused},
		"an extension":               {withHeader(fittingJSON, `{"alg":"HS256","crit":["exp"]}`), ErrRefused},
		"no JSON":                    {withHeader("{", `{"alg":"HS256"}`), ErrRefused},
		"anything":                   {"a.b.c", ErrRefused},
		"a key of nobody":            {"spk_AAAA", ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			ring := NewKeyring(nil, TokenOptions{Secret: secret, Issuer: "https://login.example", Audience: "sandpiper", Now: clock})
			got, err := ring.Identify(tc.token)
			if !errors.Is(err, tc.want) || (tc.want != nil && got != (Identity{})) {
				t.Errorf("Identify = %+v, %v, want %v", got, err, tc.want)
			}
			if err != nil && (strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), tc.token)) {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
}

const fittingJSON = `{"sub":"ann","exp":9999999999,"iss":"https://login.example","aud":"sandpiper"}`

// withHeader signs any text with our secret.
func withHeader(claims, header string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestATokenSignedByHandIsTaken(t *testing.T) { // or the two above it that use it would prove nothing
	ring := NewKeyring(nil, TokenOptions{Secret: secret, Issuer: "https://login.example", Audience: "sandpiper", Now: clock})
	if got, err := ring.Identify(withHeader(fittingJSON, `{"alg":"HS256"}`)); err != nil || got.UserID != "ann" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestATokenForSomebodyElseIsRefusedWhereNoAudienceIsSet(t *testing.T) {
	ring := NewKeyring(nil, TokenOptions{Secret: secret, Now: clock})
	if _, err := ring.Identify(signed(t, claimsOf(jwt.MapClaims{"aud": "billing"}), jwt.SigningMethodHS256, secret)); !errors.Is(err, ErrRefused) {
		t.Errorf("%v, want ErrRefused", err)
	}
}

func TestWithoutASecretNoTokenIsTaken(t *testing.T) {
	_, k, err := NewKey("k", "", "ann", Jobs)
	if err != nil {
		t.Fatal(err)
	}
	ring := NewKeyring([]Key{k}, TokenOptions{Now: clock})
	if _, err := ring.Identify(signed(t, claimsOf(nil), jwt.SigningMethodHS256, []byte{})); !errors.Is(err, ErrRefused) {
		t.Errorf("a token signed with nothing: %v, want ErrRefused", err)
	}
}

// FuzzIdentify presents anything. Only what our secret signed, or a key itself, lets somebody in, and as nobody else.
func FuzzIdentify(f *testing.F) {
	key, k, err := NewKey("ann", "acme", "ann", Jobs)
	if err != nil {
		f.Fatal(err)
	}
	ring := NewKeyring([]Key{k}, TokenOptions{Secret: secret, Issuer: "https://login.example", Audience: "sandpiper", Now: clock})
	good := withHeader(fittingJSON, `{"alg":"HS256"}`)
	want, err := ring.Identify(good)
	if err != nil {
		f.Fatal(err)
	}
	head, rest, _ := strings.Cut(good, ".")
	for _, seed := range []string{good, "", key[:10], "spk_", head + "." + rest[:20], "eyJhbGciOiJub25lIn0." + rest, "..", good + "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, presented string) {
		got, err := ring.Identify(presented)
		switch {
		case err == nil && got != want: // a signature has spare bits, so other text may be the same token
			t.Errorf("Identify(%q) = %+v", presented, got)
		case err != nil && got != (Identity{}), err != nil && len(presented) > 12 && strings.Contains(err.Error(), presented):
			t.Errorf("Identify(%q) = %+v, %v", presented, got, err)
		}
	})
}
