package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
)

// part reports whether a role serves one embedded part by itself. Such a program is started in the same shell as the
// ones that use it, so it looks at its own variables only: DAYTONA_API_URL names itself there.
func (r Role) part() bool {
	return r == RoleDaytona || r == RoleModel || r == RoleMigrate || r == RoleSnapshot
}

// fillPart sets the fixed addresses at which the parts serve when they are not embedded.
func (c *Config) fillPart(role Role) {
	switch role {
	case RoleDaytona:
		c.DaytonaURL = ""
		c.DaytonaAddr = cmp.Or(c.DaytonaAddr, "127.0.0.1:3986")
	case RoleModel:
		c.ModelAddr = cmp.Or(c.ModelAddr, "127.0.0.1:3987")
	}
}

func (c Config) validatePart(role Role) []error {
	var faults []error
	check := func(name string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %w", name, err))
		}
	}
	switch role {
	case RoleModel:
		check("SANDPIPER_MODEL_ADDR", validAddr(c.ModelAddr, false)) // it keeps nothing, and spends nothing
		return faults
	case RoleMigrate:
		if !c.DatabaseURL.Set() {
			check("DATABASE_URL", errors.New("must be set: postgres://…, the database whose schema is meant"))
		}
		check("DATABASE_URL", validDatabase(c.DatabaseURL.Reveal(), role))
		return faults
	case RoleSnapshot:
		c.validSnapshots(check)
		return faults
	}
	check("SANDPIPER_DAYTONA_ADDR", validDaytonaAddr(c.DaytonaAddr, c.DaytonaKey.Set()))
	check("SANDPIPER_CLAUDE", validFile(c.Claude))
	check("SANDPIPER_ISOLATION", oneOf(c.Isolation, "auto", "none"))
	check("LOG_FORMAT", oneOf(c.LogFormat, "", "text", "json"))
	check("LOG_LEVEL", oneOf(c.LogLevel, "debug", "info", "warn", "error"))
	return faults
}

func (c Config) validSnapshots(check func(name string, err error)) {
	check("DATABASE_URL", validDatabase(c.DatabaseURL.Reveal(), RoleUp)) // that of an up may be a file
	check("DAYTONA_API_URL", validURL(c.DaytonaURL, "http", "https"))
	if !c.DaytonaKey.Set() && c.DaytonaURL != "" {
		check("DAYTONA_API_KEY", errors.New("must be set when DAYTONA_API_URL is"))
	}
	check("SANDPIPER_SNAPSHOT_PREFIX", validPrefix(c.Prefix))
	check("SANDPIPER_CLAUDE", validFile(c.Claude))
	check("SANDPIPER_ISOLATION", oneOf(c.Isolation, "auto", "none"))
}

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func validPrefix(prefix string) error {
	if len(prefix) > 64 || !prefixForm.MatchString(prefix) {
		return errors.New("must be 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or a digit")
	}
	return nil
}

// validDaytonaAddr: a key that somebody has chosen is known where it is needed; one that was made for this machine is not.
func validDaytonaAddr(addr string, keyed bool) error {
	if err := validAddr(addr, false); err != nil || keyed {
		return err
	}
	if validAddr(addr, true) != nil {
		return errors.New("must be a loopback address, unless DAYTONA_API_KEY is set")
	}
	return nil
}
