package containertest

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestChoice(t *testing.T) {
	nothing, engine := func() error { return errors.New("no image x") }, func() error { return nil }
	for name, tc := range map[string]struct {
		asked string
		look  func() error
		want  string
		fails string
	}{
		"what is here":           {"", engine, "containers (an engine and both images are here)", ""},
		"what is not here":       {"", nothing, "processes (no image x)", ""},
		"processes, though":      {"processes", engine, "processes (" + Var + " says so)", ""},
		"containers, as they do": {"containers", engine, "containers (an engine and both images are here)", ""},
		"containers, in vain":    {"containers", nothing, "", "no image x"},
		"a word that is none":    {"docker", engine, "", `"docker"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := choose(tc.asked, tc.look)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("choose = %v, %v; want an error about %s", got, err, tc.fails)
				}
				return
			}
			if err != nil || got.String() != tc.want {
				t.Errorf("choose = %s, %v; want %s", got, err, tc.want)
			}
		})
	}
}

// TestTheImagesAreThoseOfOperators: a version that is tested and not run would prove nothing.
func TestTheImagesAreThoseOfOperators(t *testing.T) {
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{Postgres, Redis} {
		if !strings.Contains(string(text), "image: "+image+"\n") {
			t.Errorf("docker-compose.yml has no %s", image)
		}
	}
}
