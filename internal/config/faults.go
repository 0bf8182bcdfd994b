package config

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/caarlos0/env/v11"
)

// unpack names the variable of each fault that the parser found. The parser's own text names the struct field and
// repeats the value, which may be a secret.
func unpack(err error) []error {
	if err == nil {
		return nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{err}
	}
	var faults []error
	for _, one := range all.Errors {
		var bad env.ParseError
		if errors.As(one, &bad) {
			faults = append(faults, fmt.Errorf("%s must be a %s", variable(bad.Name), kind(bad.Type)))
			continue
		}
		faults = append(faults, one)
	}
	return faults
}

func kind(t reflect.Type) string {
	if t.Kind() == reflect.Int {
		return "whole number"
	}
	return t.String()
}

// ours are variables that start with SANDPIPER_ and are no part of Config: the first prompt of a fresh start, and for
// the commands of a terminal the API that they talk to, and with which key.
var ours = map[string]bool{
	"SANDPIPER_TRY": true, "SANDPIPER_API": true, "SANDPIPER_API_KEY": true, "SANDPIPER_API_KEY_FILE": true,
}

// later are variables of the design that this version does not have. They guard something, so they are not ignored.
var later = map[string]string{"AUTH_JWKS_URL": "is not available yet: tokens are checked with AUTH_JWT_SECRET"}

// unknown lists variables that look like ours and are not: a misspelt one would otherwise be ignored silently.
func unknown(vars map[string]string) []error {
	known := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		known[f.Tag.Get("env")] = true
	}
	var faults []error
	for name := range vars {
		if strings.HasPrefix(name, "SANDPIPER_") && !known[name] && !ours[name] {
			faults = append(faults, fmt.Errorf("%s is not a variable of this version; docs/config.md lists them", name))
		}
		if why := later[name]; why != "" && vars[name] != "" {
			faults = append(faults, fmt.Errorf("%s %s", name, why))
		}
	}
	sort.Slice(faults, func(i, k int) bool { return faults[i].Error() < faults[k].Error() })
	return faults
}

// variable is the name of the environment variable behind a field.
func variable(field string) string {
	if f, ok := reflect.TypeFor[Config]().FieldByName(field); ok {
		return f.Tag.Get("env")
	}
	return field
}
