//go:build compose

package compose

import (
	"cmp"
	"slices"
	"strings"

	"sandpiper/client"
)

// triesAKill: the worker container that runs a prompt is killed in the middle of it. Another one follows it; it is paid once.
func (c *composition) triesAKill() {
	letGo := c.model.hold()
	id := c.running("hold over a kill")
	c.docker("kill", c.workerOf(id))
	c.until("another worker follows it", func() bool { return c.adopted(id) })
	letGo()
	if j := c.succeeded(id, "hold over a kill"); j.Attempt < 2 {
		c.t.Errorf("it ended in attempt %d", j.Attempt)
	}
	c.up()
}

// triesAStop: a worker container that is told to stop hands its prompt over, and ends by itself.
func (c *composition) triesAStop() {
	letGo := c.model.hold()
	id := c.running("hold over a stop")
	worker := c.workerOf(id)
	c.docker("stop", "--time", "60", worker)
	if code := c.look(worker, "{{.State.ExitCode}}"); code != "0" {
		c.t.Errorf("the worker ended with %s", code)
	}
	if !strings.Contains(c.docker("logs", worker), `"handedOver":1`) {
		c.t.Error("the worker did not say that it handed a job over")
	}
	c.until("another worker follows it", func() bool { return c.adopted(id) })
	letGo()
	c.succeeded(id, "hold over a stop")
	c.up()
}

// triesAnEmptyRedis: its container and its data are gone for a while. What was running and what comes meanwhile is done all the same.
func (c *composition) triesAnEmptyRedis() {
	letGo := c.model.hold()
	running := c.running("hold over an empty Redis")
	c.do("rm", "--stop", "--force", "-v", "redis")
	c.docker("volume", "rm", c.project+"_redis")
	meanwhile := c.submit("while Redis is away")
	letGo()
	c.succeeded(running, "hold over an empty Redis")
	c.succeeded(meanwhile, "while Redis is away")
	c.up()
	c.succeeded(c.submit("after Redis came back"), "after Redis came back")
}

// triesRestarts restarts one service after another under a prompt that runs and one that follows.
func (c *composition) triesRestarts() {
	for _, service := range []string{"postgres", "redis", "api", "worker", "model", "daytona"} {
		c.restarts(service)
	}
}

func (c *composition) triesARestartOfAll() { c.restarts() }

// restarts restarts some services, or all, under work. Nothing is lost, and nothing is asked twice. Only with the sandboxes gone
// nobody can know what became of a prompt.
func (c *composition) restarts(which ...string) {
	c.t.Helper()
	under := "the restart of " + cmp.Or(strings.Join(which, " "), "all")
	letGo := c.model.hold()
	first, second := "hold over "+under, "hold too over "+under
	ids := map[string]string{first: c.running(first), second: c.running(second)}
	c.do(append([]string{"restart", "--timeout", "20"}, which...)...)
	c.healthy()
	letGo()
	lost := len(which) == 0 || slices.Contains(which, "daytona")
	for input, id := range ids {
		if !lost {
			c.succeeded(id, input)
			continue
		}
		if j := c.ended(id); j.State != client.OutcomeUnknown {
			c.t.Errorf("job %q is %s %+v", input, j.State, j.Error)
		}
		if n := c.model.asked(input); n != 1 {
			c.t.Errorf("the model was asked %q %d times", input, n)
		}
	}
	next := "after " + under
	c.succeeded(c.submit(next), next)
}

// workerOf is the container whose log says last that it launched or adopted the job's run.
func (c *composition) workerOf(id string) (container string) {
	c.t.Helper()
	c.until("a worker says that it runs "+id, func() bool {
		for _, worker := range c.containers("worker") {
			for line := range strings.Lines(c.docker("logs", worker)) {
				if strings.Contains(line, id) && strings.Contains(line, "run launched") {
					container = worker
				}
			}
		}
		return container != ""
	})
	return container
}

// adopted reports whether an event says so.
func (c *composition) adopted(id string) bool {
	page, err := c.api.Events(c.t.Context(), id, 0, 0)
	return err == nil && slices.ContainsFunc(page.Items, func(e client.Event) bool { return strings.HasPrefix(e.Reason, "run adopted") })
}
