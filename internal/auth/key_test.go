package auth

import (
	"errors"
	"strings"
	"testing"
)

const hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // of "test"

func TestAKeysEntryIsReadBack(t *testing.T) {
	for name, k := range map[string]Key{
		"a person":              {Name: "ann-laptop", UserID: "ann", Scopes: Jobs},
		"a person of a tenant":  {Name: "a", Tenant: "acme", UserID: "ann@acme.example", Scopes: Jobs | Ops},
		"a service":             {Name: "web_backend.1", Scopes: Jobs},
		"a service of a tenant": {Name: "b", Tenant: "acme", Scopes: Admin},
		"signs of the entry":    {Name: "c", Tenant: "a:b,c/d*%", UserID: "*", Scopes: Ops},
		"other letters":         {Name: "d", Tenant: "müller", UserID: "山田,太郎%2F", Scopes: Jobs | Ops | Admin},
	} {
		t.Run(name, func(t *testing.T) {
			secret, made, err := NewKey(k.Name, k.Tenant, k.UserID, k.Scopes)
			if err != nil {
				t.Fatal(err)
			}
			read, err := ParseKeys(made.String())
			if err != nil || len(read) != 1 || read[0] != made {
				t.Fatalf("%s is read as %+v, %v", made, read, err)
			}
			if k.Hash = HashOf(secret); made != k {
				t.Errorf("made %+v, want %+v", made, k)
			}
			if strings.Contains(made.String(), secret) || !strings.HasPrefix(secret, "spk_") || len(secret) < 40 {
				t.Errorf("entry %s of %s", made, secret)
			}
		})
	}
}

func TestKeysAreNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		secret, _, err := NewKey("k", "", "ann", Jobs)
		if err != nil || seen[secret] {
			t.Fatalf("%s again, %v", secret, err)
		}
		seen[secret] = true
	}
}

func TestEntriesAreSeparatedByCommasAndBlanks(t *testing.T) {
	var entries []string
	for _, name := range []string{"a", "b", "c", "d"} {
		_, k, err := NewKey(name, "", "ann", Jobs)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, k.String())
	}
	keys, err := ParseKeys(" " + entries[0] + ", " + entries[1] + "\n" + entries[2] + "," + entries[3] + ",\n")
	if err != nil || len(keys) != 4 || keys[3].Name != "d" {
		t.Errorf("%+v, %v", keys, err)
	}
}

func TestBadEntriesAreNamedByNumberAndNeverRepeated(t *testing.T) {
	good := "ann:ann:jobs:" + hash
	for name, tc := range map[string]struct{ text, want string }{
		"a key itself":          {good + " spk_hush", "entry 2 is a key itself"},
		"too few parts":         {"hush:ann:" + hash, "entry 1 must be NAME:USER:SCOPES:SHA256"},
		"too many parts":        {"hush:a:b:jobs:" + hash, "entry 1 must be NAME:USER:SCOPES:SHA256"},
		"no name":               {":hush:jobs:" + hash, "must have a name"},
		"a name with signs":     {"hu/sh:ann:jobs:" + hash, "must have a name"},
		"no user":               {"hush::jobs:" + hash, "must have USER"},
		"a tenant without user": {"hush:acme/:jobs:" + hash, "must have USER"},
		"a user without tenant": {"hush:/ann:jobs:" + hash, "must have USER"},
		"a user with a blank":   {"hush:a%20b:jobs:" + hash, "must have a user"},
		"a bad escape":          {"hush:a%zz:jobs:" + hash, "has a user that is not escaped"},
		"a bad tenant":          {"hush:a%zz/b:jobs:" + hash, "has a tenant that is not escaped"},
		"no scope":              {"hush:ann::" + hash, "must have scopes out of"},
		"an unknown scope":      {"hush:ann:jobs+hush:" + hash, "must have scopes out of"},
		"a short hash":          {"hush:ann:jobs:9f86d081", "must end with the key's SHA-256"},
		"a long hash":           {"hush:ann:jobs:" + hash + "00", "must end with the key's SHA-256"},
		"a hash of other signs": {"hush:ann:jobs:" + strings.Repeat("hush", 16), "must end with the key's SHA-256"},
		"a name twice":          {good + ",ann:bob:jobs:" + strings.Repeat("00", 32), "entry 2 has the name of an earlier one"},
		"a key twice":           {good + ",hush:bob:jobs:" + strings.ToUpper(hash), "entry 2 is the same key"},
		"nothing":               {" , ", "holds no entry"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseKeys(tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: %v, want %q and none of the text", tc.text, err, tc.want)
			}
		})
	}
	_, err := ParseKeys("a b," + good)
	if err == nil || !strings.Contains(err.Error(), "entry 1 ") || !strings.Contains(err.Error(), "entry 2 ") {
		t.Errorf("two faults: %v", err)
	}
	if _, _, err := NewKey("ann", "", "a b", Jobs); err == nil {
		t.Error("a key of a user with a blank is made")
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add("ann:acme/ann:jobs+ops:" + hash + ", b:*:admin:" + hash)
	f.Add("a:%2A:jobs:" + strings.ToUpper(hash))
	f.Fuzz(func(t *testing.T, text string) {
		keys, _ := ParseKeys(text)
		for _, k := range keys {
			again, err := ParseKeys(k.String())
			if err != nil || len(again) != 1 || again[0] != k {
				t.Fatalf("%+v is written as %q and read as %+v, %v", k, k, again, err)
			}
		}
	})
}

func TestAKeyIsFoundAmongMany(t *testing.T) {
	var keys []Key
	secrets := map[string]Key{}
	for _, user := range []string{"ann", "bob", ""} {
		secret, k, err := NewKey("key-of."+user, "acme", user, Jobs)
		if err != nil {
			t.Fatal(err)
		}
		keys, secrets[secret] = append(keys, k), k
	}
	ring := NewKeyring(keys, TokenOptions{})
	for secret, k := range secrets {
		want := Identity{Name: k.Name, Tenant: "acme", UserID: k.UserID, Scopes: Jobs}
		if got, err := ring.Identify(secret); err != nil || got != want {
			t.Errorf("Identify = %+v, %v, want %+v", got, err, want)
		}
		for _, wrong := range []string{secret[:len(secret)-1], secret + "A", " " + secret, strings.ToUpper(secret), k.String(), "x"} {
			if got, err := ring.Identify(wrong); !errors.Is(err, ErrRefused) || got != (Identity{}) || strings.Contains(err.Error(), wrong) && wrong != "x" {
				t.Errorf("Identify(%q) = %+v, %v, want ErrRefused without the text", wrong, got, err)
			}
		}
	}
	if _, err := ring.Identify(""); !errors.Is(err, ErrNone) {
		t.Errorf("nothing is presented: %v, want ErrNone", err)
	}
}
