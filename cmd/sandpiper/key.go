package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sandpiper/internal/auth"
)

func keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make keys for the API",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyCommand())
	return cmd
}

// wanted is the key that somebody asks for.
type wanted struct {
	name, tenant, user string
	service, json      bool
	scopes             []string
}

func newKeyCommand() *cobra.Command {
	var w wanted
	cmd := &cobra.Command{
		Use:   "new (--user USER | --service)",
		Short: "Make a key, and the entry of SANDPIPER_API_KEYS that lets it in",
		Long: `Make a key, and the entry of SANDPIPER_API_KEYS that lets it in. It asks nobody and stores nothing: the key is printed
once, and the entry holds its hash. The API takes it after a restart with that entry. docs/keys.md says what the scopes
allow.`,
		Example: `  sandpiper key new --user ann
  sandpiper key new --user boss --scope jobs,ops
  sandpiper key new --service --name web-backend --tenant acme
  sandpiper key new --service --name prometheus --scope ops`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return w.print() },
	}
	flags := cmd.Flags()
	flags.StringVar(&w.user, "user", "", "whose jobs it is for")
	flags.BoolVar(&w.service, "service", false, "for a program that names the user of each request, and is believed")
	flags.StringVar(&w.tenant, "tenant", "", "the tenant, in an installation that has several")
	flags.StringSliceVar(&w.scopes, "scope", []string{"jobs"}, "what it may be used for: jobs, ops, admin")
	flags.StringVar(&w.name, "name", "", "what the API's log calls it (default: made from the user and the key's hash)")
	flags.BoolVar(&w.json, "json", false, "one JSON object: name, key, entry")
	return cmd
}

// print makes the key. What is for a program, or to be copied, goes to stdout.
func (w wanted) print() error {
	secret, k, err := w.make()
	if err != nil {
		return err
	}
	if w.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]string{"name": k.Name, "key": secret, "entry": k.String()})
	}
	fmt.Printf("key    %s\nentry  %s\n", secret, k)
	fmt.Fprintln(os.Stderr, "\nThe key is shown this once: it goes to whoever calls, who sets SANDPIPER_API_KEY or sends it as a bearer token."+
		"\nThe entry goes into SANDPIPER_API_KEYS of the API, beside those that are there, separated by a comma.")
	return nil
}

func (w wanted) make() (secret string, k auth.Key, err error) {
	if w.service == (w.user != "") {
		return "", k, errors.New("say whose key it is: --user USER, or --service for a program that names its users")
	}
	if w.user == "*" { // as an entry has it; a user of that name is hardly meant
		w.user = ""
	}
	var scopes auth.Scopes
	for _, word := range w.scopes {
		scope, known := auth.ParseScope(word)
		if !known {
			return "", k, errors.New("--scope must be of jobs, ops and admin")
		}
		scopes |= scope
	}
	name := w.name
	if name == "" {
		name = "key" // until the hash is known
	}
	if secret, k, err = auth.NewKey(name, w.tenant, w.user, scopes); err != nil {
		return "", k, fmt.Errorf("a key %w", err)
	}
	if w.name == "" {
		k.Name = nameFor(k)
	}
	return secret, k, nil
}

// nameFor makes a name of the user, as far as letters allow, and of the hash, so that a user's keys have several.
func nameFor(k auth.Key) string {
	plain := strings.Map(func(r rune) rune {
		if (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, k.UserID)
	if plain == "" {
		plain = "service"
	}
	return plain[:min(len(plain), 50)] + "-" + hex.EncodeToString(k.Hash[:3])
}
