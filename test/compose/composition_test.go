//go:build compose

package compose

import (
	"cmp"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/auth"
	"sandpiper/internal/offline/scripted"
)

const (
	workers = 3
	root    = "../.." // of the repository

	// modelKey is that of test/e2e, whose tests look for it in what is shown.
	modelKey = "sk-ant-e2e-0123456789abcdef0123456789abcdef"

	// patience is how long anything may take on a machine ten times slower than ours.
	patience = 5 * time.Minute
)

var (
	by   = flag.String("by", "docker-compose", "what composes: docker-compose, or docker compose, which is the plugin")
	from = flag.String("from", "", "the tree of an older version, which is started first and upgraded; none: this one is")
)

// composition is a running docker-compose.yml, in a project of its own.
type composition struct {
	t       *testing.T
	project string
	tree    string            // an operator's checkout: a link, so that it can become another version
	file    string            // its env file
	env     map[string]string // what stands in it
	tenants []string          // keys, each of a tenant of its own
	model   *model
	api     *client.Client
	url     string
}

// open builds the images, starts everything and waits until all are healthy. Everything is taken down with the test, volumes too.
func open(t *testing.T) *composition {
	t.Helper()
	c := &composition{t: t, project: "sandpiper-test-" + strings.ToLower(rand.Text()[:8]), model: openModel(t)}
	version, err := filepath.Abs(cmp.Or(*from, root))
	c.must(err)
	c.tree = filepath.Join(t.TempDir(), "tree")
	c.must(os.Symlink(version, c.tree))
	c.writeEnv()
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := c.compose("logs", "--no-color", "--tail=60").CombinedOutput()
			t.Logf("the logs:\n%s", out)
		}
		if out, err := c.compose("down", "--volumes", "--timeout", "5").CombinedOutput(); err != nil {
			t.Errorf("take it down: %v\n%s", err, out)
		}
	})
	begun := time.Now()
	c.do("build")
	built := time.Now()
	c.up()
	t.Logf("%s: built in %v; all healthy %v after `up`", *by, built.Sub(begun).Round(time.Second), time.Since(built).Round(time.Second))
	c.api = client.New(c.url, client.Options{Key: client.Key(c.env["SANDPIPER_API_KEY"])})
	return c
}

// writeEnv has scripts/env.sh write an env file with fresh secrets, as `make env` does, and says in it where the API is to be
// and that the model is the test's.
func (c *composition) writeEnv() {
	c.t.Helper()
	dir := c.t.TempDir()
	for _, name := range []string{".env.example", "scripts/env.sh", "scripts/lib.sh"} {
		raw, err := os.ReadFile(filepath.Join(c.tree, name))
		c.must(err)
		c.must(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		c.must(os.WriteFile(filepath.Join(dir, name), raw, 0o700))
	}
	c.run(exec.Command(filepath.Join(dir, "scripts/env.sh")))
	c.file = filepath.Join(dir, ".env")
	raw, err := os.ReadFile(c.file)
	c.must(err)
	address := freeAddress(c.t)
	c.url = "http://" + address
	set := map[string]string{
		"SANDPIPER_PUBLISH": address, "ANTHROPIC_BASE_URL": c.model.URL(), "ANTHROPIC_API_KEY": modelKey,
		"SANDPIPER_CONCURRENCY": "3", // of each worker: commands that wait for the model, on a machine of two cores
	}
	tenants := c.addTenants()
	c.env = map[string]string{}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if ours, ok := set[name]; ok {
			value = ours
		}
		if name == "SANDPIPER_API_KEYS" {
			value += "," + tenants
		}
		c.env[name] = value
		lines = append(lines, name+"="+value)
	}
	c.must(os.WriteFile(c.file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

// addTenants makes a key for each of forty tenants, and returns what the API is to know of them.
func (c *composition) addTenants() (entries string) {
	var all []string
	for i := range 40 {
		name := fmt.Sprintf("tenant%d", i)
		secret, entry, err := auth.NewKey(name, name, "", auth.Jobs|auth.Ops) // who names no user sees every user of the tenant
		c.must(err)
		c.tenants = append(c.tenants, secret)
		all = append(all, entry.String())
	}
	return strings.Join(all, ",")
}

// freeAddress is one on loopback where nobody listens. It must be known before the engine does, and stay over restarts.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// compose is a command of what composes, on the composition.
func (c *composition) compose(args ...string) *exec.Cmd {
	words := append(strings.Fields(*by), "--project-name", c.project, "--project-directory", c.tree, "--env-file", c.file,
		"--file", filepath.Join(c.tree, "docker-compose.yml"), "--file", "build.yml")
	cmd := exec.Command(words[0], append(words[1:], args...)...)
	// A variable of this process would win over the env file.
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if _, ok := c.env[name]; !ok {
			cmd.Env = append(cmd.Env, v)
		}
	}
	// The plugin takes COMPOSE_PROFILES from the env file; 1.29 does so from a file of the usual name only.
	cmd.Env = append(cmd.Env, "COMPOSE_PROFILES="+c.env["COMPOSE_PROFILES"], "DOCKER_BUILDKIT=0", "COMPOSE_DOCKER_CLI_BUILD=0")
	return cmd
}

// do runs such a command, which must succeed.
func (c *composition) do(args ...string) string { c.t.Helper(); return c.run(c.compose(args...)) }

// docker runs a docker command that must succeed.
func (c *composition) docker(args ...string) string {
	c.t.Helper()
	return c.run(exec.Command("docker", args...))
}

func (c *composition) run(cmd *exec.Cmd) string {
	c.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// up starts what is not running, and waits until all are healthy.
func (c *composition) up() {
	c.t.Helper()
	c.do("up", "--detach", "--no-build", "--scale", fmt.Sprintf("worker=%d", workers))
	c.healthy()
}

// services are those that stay, and how many containers each has.
var services = map[string]int{"postgres": 1, "redis": 1, "api": 1, "worker": workers, "daytona": 1, "model": 1}

// healthy waits until every container of every service says so.
func (c *composition) healthy() {
	c.t.Helper()
	for service, n := range services {
		c.until(service+" is healthy", func() bool {
			ids := c.containers(service)
			if len(ids) != n {
				return false
			}
			for _, id := range ids {
				if c.look(id, "{{.State.Health.Status}}") != "healthy" {
					return false
				}
			}
			return true
		})
	}
}

// containers are the ids of a service's running ones.
func (c *composition) containers(service string) []string {
	c.t.Helper()
	return strings.Fields(c.docker("ps", "--quiet", "--no-trunc",
		"--filter", "label=com.docker.compose.project="+c.project, "--filter", "label=com.docker.compose.service="+service))
}

// look is a field of a container.
func (c *composition) look(id, format string) string {
	c.t.Helper()
	return strings.TrimSpace(c.docker("inspect", "--format", format, id))
}

// until waits for something to become true.
func (c *composition) until(what string, so func() bool) {
	c.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			c.t.Fatalf("never: %s", what)
		}
	}
}

func (c *composition) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// in is the composition for a part of the test.
func (c *composition) in(t *testing.T) *composition {
	part := *c
	part.t = t
	return &part
}

// submit hands a prompt over.
func (c *composition) submit(input string) string {
	c.t.Helper()
	id, err := c.api.Submit(c.t.Context(), client.Submit{Input: input})
	c.must(err)
	return id
}

// ended waits for a job's end, over anything that is away meanwhile.
func (c *composition) ended(id string) (j client.Job) {
	c.t.Helper()
	c.until("job "+id+" ends", func() bool {
		ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
		defer cancel()
		var err error
		j, err = c.api.Job(ctx, id, 5*time.Second)
		return err == nil && j.State.Ended()
	})
	return j
}

// succeeded checks that a job has, and that the model was asked once.
func (c *composition) succeeded(id, input string) client.Job {
	c.t.Helper()
	j := c.ended(id)
	if j.State != client.Succeeded || j.Tries != 0 {
		c.t.Errorf("job %q is %s %+v, tries %d", input, j.State, j.Error, j.Tries)
	}
	if n := c.model.asked(input); n != 1 {
		c.t.Errorf("the model was asked %q %d times", input, n)
	}
	return j
}

// model is the test's, where containers reach it. It holds the answer to a prompt that begins with "hold" until it is told.
type model struct {
	*scripted.Server
}

// openModel listens on this machine's address in the engine's own network, which containers of all networks reach.
func openModel(t *testing.T) *model {
	t.Helper()
	m := &model{}
	m.listen(t, net.JoinHostPort(here(t), "0"))
	t.Cleanup(func() { m.leave(t) })
	return m
}

// here is where containers reach this machine: the address of the engine's bridge. The network names it as its gateway, but not on
// an engine that has never been started before.
func here(t *testing.T) string {
	t.Helper()
	const format = `{{index .Options "com.docker.network.bridge.name"}}`
	out, err := exec.Command("docker", "network", "inspect", "--format", format, "bridge").CombinedOutput()
	if err != nil {
		t.Fatalf("where containers reach this machine: %v\n%s", err, out)
	}
	bridge := strings.TrimSpace(string(out))
	link, err := net.InterfaceByName(bridge)
	if err != nil {
		t.Fatalf("the engine's bridge %q: %v", bridge, err)
	}
	addrs, err := link.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Fatalf("the engine's bridge %q has no address: %v", bridge, addrs)
	return ""
}

func (m *model) listen(t *testing.T, addr string) {
	t.Helper()
	s, err := scripted.Open(scripted.Options{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	m.Server = s
	m.hold()
}

// leave makes its address free.
func (m *model) leave(t *testing.T) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Errorf("close the model: %v", err)
	}
}

// hold has the model hold prompts from now on, and returns what lets go of them.
func (m *model) hold() (letGo func()) {
	release := make(chan struct{})
	m.Handle(func(r scripted.Request) scripted.Answer {
		if strings.HasPrefix(strings.TrimSpace(r.Prompt()), "hold") {
			return scripted.Held(release, scripted.Text("The answer is 4."))
		}
		return scripted.Text("The answer is 4.")
	})
	return func() { close(release) }
}

// asked is how often a prompt has come.
func (m *model) asked(input string) (n int) {
	for _, r := range m.Requests() {
		if strings.TrimSpace(r.Prompt()) == input {
			n++
		}
	}
	return n
}
