//go:build compose

package compose

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheFile: what composes takes docker-compose.yml as it is and with what the tests add, with and without the profile, and warns of
// nothing. Its values are those of .env.example.
func TestTheFile(t *testing.T) {
	for _, profile := range []string{"", "local"} {
		for _, files := range [][]string{{"docker-compose.yml"}, {"docker-compose.yml", "test/compose/build.yml"}} {
			t.Run(profile+" "+strings.Join(files, " "), func(t *testing.T) {
				words := append(strings.Fields(*by), "--project-directory", root, "--env-file", filepath.Join(root, ".env.example"))
				for _, file := range files {
					words = append(words, "--file", filepath.Join(root, file))
				}
				cmd := exec.Command(words[0], append(words[1:], "config", "--quiet")...)
				cmd.Env = append(cmd.Environ(), "COMPOSE_PROFILES="+profile)
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
				}
			})
		}
	}
}
