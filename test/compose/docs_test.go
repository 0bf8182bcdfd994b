//go:build compose

package compose

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"sandpiper/client"
)

// triesARestore: the commands of docs/deploy.md. What had ended is there, what ran in the backup is taken up again though it has
// ended since, and what came later is not known.
func (c *composition) triesARestore() {
	commands := c.told("Backup and restore")
	backup, restore, ok := strings.Cut(commands, "\n\n")
	if !ok {
		c.t.Fatalf("docs/deploy.md tells of a backup and not of a restore:\n%s", commands)
	}
	before := c.submit("before the backup")
	c.succeeded(before, "before the backup")
	letGo := c.model.hold()
	during := c.running("hold over the backup")
	dir := c.t.TempDir()
	c.shell(dir, backup)
	letGo()
	c.succeeded(during, "hold over the backup")
	after := c.submit("after the backup")
	c.succeeded(after, "after the backup")

	c.shell(dir, c.scaled(restore))
	c.healthy()
	c.succeeded(before, "before the backup")
	c.succeeded(during, "hold over the backup")
	var p *client.Problem
	if _, err := c.api.Job(c.t.Context(), after, 0); !errors.As(err, &p) || p.Code != "JOB_NOT_FOUND" {
		c.t.Errorf("a job that came after the backup: %v, want that it is not known", err)
	}
	c.succeeded(c.submit("after the restore"), "after the restore")
}

// triesAnUpgrade: the commands of docs/deploy.md under a prompt that runs. The new programs are the old ones here; make rolling has others.
func (c *composition) triesAnUpgrade() {
	letGo := c.model.hold()
	id := c.running("hold over an upgrade")
	old := append(c.containers("api"), c.containers("worker")...)
	c.shell(c.t.TempDir(), strings.ReplaceAll(c.scaled(c.told("Upgrades")), " --no-deps", " --no-deps --force-recreate"))
	c.healthy()
	for _, one := range append(c.containers("api"), c.containers("worker")...) {
		for _, other := range old {
			if one == other {
				c.t.Errorf("container %s was not replaced", one)
			}
		}
	}
	letGo()
	c.succeeded(id, "hold over an upgrade")
}

// told are the shell commands of a chapter of docs/deploy.md.
func (c *composition) told(chapter string) string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/deploy.md"))
	c.must(err)
	_, rest, _ := strings.Cut(string(text), "\n## "+chapter+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	found := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(rest)
	if found == nil {
		c.t.Fatalf("docs/deploy.md has no commands for %q", chapter)
	}
	return found[1]
}

// scaled has `up -d`, which would start one worker, keep ours.
func (c *composition) scaled(commands string) string {
	return strings.ReplaceAll(commands, "up -d\n", "up -d --scale worker=3\n")
}

// shell runs commands as an operator types them, on this composition.
func (c *composition) shell(dir, commands string) {
	c.t.Helper()
	top, err := filepath.Abs(root)
	c.must(err)
	beside, err := filepath.Abs("build.yml")
	c.must(err)
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", `
git() { :; } # nothing is newer than this
docker-compose() {
	command docker-compose --project-name "$PROJECT" --project-directory "$TOP" --env-file "$ENV_FILE" --file "$TOP/docker-compose.yml" --file "$BESIDE" "$@"
}
`+commands)
	cmd.Dir = dir
	cmd.Env = append(c.compose().Env, "PROJECT="+c.project, "TOP="+top, "ENV_FILE="+c.file, "BESIDE="+beside)
	c.run(cmd)
}
