//go:build compose

package compose

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// triesAnUpgrade: the commands of docs/deploy.md, to this version and back, each time under a prompt that runs; and to this version
// again, with all that does not stand in those commands. What the older version has done is there.
func (c *composition) triesAnUpgrade() {
	upgrade, back, ok := strings.Cut(c.told("Upgrades"), "\n\n")
	if !ok {
		c.t.Fatalf("docs/deploy.md tells of an upgrade and not of the way back:\n%s", upgrade)
	}
	before := c.submit("before the upgrade")
	c.succeeded(before, "before the upgrade")
	older := c.images()
	c.replaces("an upgrade", upgrade)
	newer := c.images()
	c.succeeded(before, "before the upgrade")
	c.replaces("the way back", back)
	if got := c.images(); !maps.Equal(got, older) {
		c.t.Errorf("after the way back, images are %v, and were %v", got, older)
	}
	c.replaces("a second upgrade", upgrade)
	c.up()
	if got := c.images(); !maps.Equal(got, newer) {
		c.t.Errorf("after a second upgrade, images are %v, and were %v after the first", got, newer)
	}
	if *from != "" {
		for service := range newer {
			if newer[service] == older[service] {
				c.t.Errorf("%s is the same in both versions: nothing was upgraded", service)
			}
		}
	}
}

// replaces runs commands that replace api and workers, under a prompt that runs: another worker follows it, and it is paid once.
func (c *composition) replaces(what, commands string) {
	c.t.Helper()
	letGo := c.model.hold()
	input := "hold over " + what
	id := c.running(input)
	old := append(c.containers("api"), c.containers("worker")...)
	if *from == "" {
		commands = strings.ReplaceAll(commands, " --no-deps", " --no-deps --force-recreate")
	}
	c.shell(c.t.TempDir(), commands)
	c.healthy()
	for _, one := range append(c.containers("api"), c.containers("worker")...) {
		if slices.Contains(old, one) {
			c.t.Errorf("%s: container %s was not replaced", what, one)
		}
	}
	c.until("another worker follows it", func() bool { return c.adopted(id) })
	letGo()
	c.succeeded(id, input)
}

// images are those that the containers of ours were made from.
func (c *composition) images() map[string]string {
	c.t.Helper()
	images := map[string]string{}
	for _, service := range []string{"api", "worker"} {
		for _, id := range c.containers(service) {
			images[service] = c.look(id, "{{.Image}}")
		}
	}
	return images
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

// shell runs commands as an operator types them, on this composition. What is pulled is this version, and what is checked out is the one
// that was started first.
func (c *composition) shell(dir, commands string) {
	c.t.Helper()
	beside, err := filepath.Abs("build.yml")
	c.must(err)
	newer, err := filepath.Abs(root)
	c.must(err)
	older, err := filepath.Abs(cmp.Or(*from, root))
	c.must(err)
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", `
git() {
	case $1 in
	pull) ln -sfn "$NEWER" "$TREE" ;;
	checkout) ln -sfn "$OLDER" "$TREE" ;;
	*) return 1 ;;
	esac
}
docker-compose() {
	command $BY --project-name "$PROJECT" --project-directory "$TREE" --env-file "$ENV_FILE" --file "$TREE/docker-compose.yml" --file "$BESIDE" "$@"
}
`+commands)
	cmd.Dir = dir
	cmd.Env = append(c.compose().Env, "BY="+*by, "PROJECT="+c.project, "TREE="+c.tree, "NEWER="+newer, "OLDER="+older, "ENV_FILE="+c.file, "BESIDE="+beside)
	c.run(cmd)
}
