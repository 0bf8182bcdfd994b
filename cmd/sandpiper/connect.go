package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sandpiper/client"
	"sandpiper/internal/cli"
)

// The variables that say which API the commands of a terminal talk to, and with which key. There is no flag for the key:
// a command line is shown to everybody who lists processes, and is kept in the shell's history.
const (
	apiVar     = "SANDPIPER_API"
	keyVar     = "SANDPIPER_API_KEY"
	keyFileVar = "SANDPIPER_API_KEY_FILE"
)

// addAPI gives a command its --api.
func addAPI(cmd *cobra.Command, api *string) {
	cmd.Flags().StringVar(api, "api", cmp.Or(os.Getenv(apiVar), "http://127.0.0.1:8787"), "address of the API; "+apiVar+" says the same. A key comes from "+keyVar+" or the file "+keyFileVar)
}

// connect makes a client of an API, with the key of the environment. user is in whose name it reads, "" for the key's.
func connect(api, user string) (*client.Client, error) {
	key, err := apiKey()
	if err != nil {
		return nil, err
	}
	return client.New(api, client.Options{Key: key, UserID: user}), nil
}

// apiKey is the key of the environment, "" without one. A file's last line end is not part of it.
func apiKey() (client.Key, error) {
	key, path := os.Getenv(keyVar), os.Getenv(keyFileVar)
	switch {
	case key != "" && path != "":
		return "", fmt.Errorf("%s and %s are both set: unset one of them", keyVar, keyFileVar)
	case path != "":
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", keyFileVar, err)
		}
		if key = strings.TrimSpace(string(raw)); key == "" {
			return "", fmt.Errorf("the file of %s is empty", keyFileVar)
		}
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("the key of the environment holds what no key holds: it must be one word of plain letters, digits and signs")
	}
	return client.Key(key), nil
}

// asked adds, to a call that was not let in or that nobody answered, what to do about it.
func asked(api string, err error) error {
	var p *client.Problem
	var exit exitCode
	switch {
	case err == nil || errors.As(err, &exit):
		return err
	case errors.As(err, &p) && p.Code == "CREDENTIAL_MISSING":
		return fmt.Errorf("%w\nset %s, or %s; whoever runs the API makes one with `sandpiper key new`", err, keyVar, keyFileVar)
	case errors.As(err, &p) || !cli.Unreachable(err):
		return err
	}
	return fmt.Errorf("%w\nno API answers at %s: `sandpiper up` starts one here; --api or %s names another", err, api, apiVar)
}
