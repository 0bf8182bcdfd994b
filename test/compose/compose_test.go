//go:build compose

package compose

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sandpiper/client"
)

// TestComposition: one composition, on which all of this is tried in turn. What breaks it comes last.
func TestComposition(t *testing.T) {
	c := open(t)
	for _, part := range []struct {
		name string
		try  func(*composition)
	}{
		{"an upgrade", (*composition).triesAnUpgrade}, // first: what comes after it is tried with this version
		{"what containers may do", (*composition).triesWalls},
		{"a job, twice sent and followed", (*composition).triesAJob},
		{"a batch", (*composition).triesABatch},
		{"a cancel", (*composition).triesACancel},
		{"the end-to-end suite", (*composition).triesEndToEnd},
		{"a worker is killed", (*composition).triesAKill},
		{"a worker is stopped", (*composition).triesAStop},
		{"Redis loses everything", (*composition).triesAnEmptyRedis},
		{"a backup is restored", (*composition).triesARestore},
		{"each service is restarted", (*composition).triesRestarts},
		{"all are restarted at once", (*composition).triesARestartOfAll},
		{"no secret is told", (*composition).triesSecrets}, // last: it reads what all of the above have logged
	} {
		if !t.Run(part.name, func(t *testing.T) {
			begun := time.Now()
			part.try(c.in(t))
			t.Logf("took %v", time.Since(begun).Round(100*time.Millisecond))
		}) {
			return // what comes after a broken part says nothing
		}
	}
}

// triesWalls: nobody but daytona is root, and the file system of ours is read-only.
func (c *composition) triesWalls() {
	for service := range services {
		for _, id := range c.containers(service) {
			ours := service == "api" || service == "worker" || service == "model"
			if got := c.look(id, "{{.HostConfig.ReadonlyRootfs}}"); got != fmt.Sprint(ours) {
				c.t.Errorf("%s: read-only root is %s", service, got)
			}
			if got := c.look(id, "{{.HostConfig.Privileged}}"); got != "false" {
				c.t.Errorf("%s is privileged", service)
			}
			if ours && c.look(id, "{{.HostConfig.CapDrop}}") != "[ALL]" {
				c.t.Errorf("%s has capabilities", service)
			}
			if service == "daytona" {
				continue
			}
			first := c.look(id, "{{.State.Pid}}") // an image's health check may still be root's
			for line := range strings.Lines(c.docker("top", id, "-eo", "pid,uid")) {
				if field := strings.Fields(line); len(field) == 2 && field[0] == first && field[1] == "0" {
					c.t.Errorf("%s runs as root", service)
				}
			}
		}
	}
}

// triesAJob: it is answered, is one job however often it is sent, and its stream tells all of it.
func (c *composition) triesAJob() {
	letGo := c.model.hold()
	s := client.Submit{Input: "hold a job", IdempotencyKey: "the-same"}
	id, err := c.api.Submit(c.t.Context(), s)
	c.must(err)
	again, err := c.api.Submit(c.t.Context(), s)
	c.must(err)
	if again != id {
		c.t.Errorf("the same key gave %s and %s", id, again)
	}
	c.until("the model is asked", func() bool { return c.model.asked(s.Input) == 1 })
	told := c.stream(id, letGo) // from the beginning, while it runs
	for i, e := range told {
		if e.Seq != int64(i+1) {
			c.t.Errorf("event %d has seq %d", i+1, e.Seq)
		}
	}
	if last := told[len(told)-1]; last.Type != client.EventDone || last.ExitCode != 0 {
		c.t.Errorf("the last event is %+v", last)
	}
	if j := c.succeeded(id, s.Input); j.Result == nil || j.Result.Text != "The answer is 4." {
		c.t.Errorf("the result is %+v", j.Result)
	}
}

// triesABatch: lines in, answers out, in their order.
func (c *composition) triesABatch() {
	const n = 6
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"custom_id":"%d","input":"line %d"}`+"\n", i, i)
	}
	b, err := c.api.SubmitBatch(c.t.Context(), client.SubmitBatch{Lines: strings.NewReader(lines.String())})
	c.must(err)
	_, err = c.api.WaitBatch(c.t.Context(), b.BatchID, nil)
	c.must(err)
	var got []string
	for line, err := range c.api.Results(c.t.Context(), b.BatchID) {
		c.must(err)
		got = append(got, line.CustomID)
		c.succeeded(line.JobID, "line "+line.CustomID)
	}
	if want := []string{"0", "1", "2", "3", "4", "5"}; !slices.Equal(got, want) {
		c.t.Errorf("results are of %v", got)
	}
}

// triesACancel: a running prompt is ended.
func (c *composition) triesACancel() {
	letGo := c.model.hold()
	defer letGo()
	id := c.running("hold until cancelled")
	_, err := c.api.Cancel(c.t.Context(), id)
	c.must(err)
	if j := c.ended(id); j.State != client.Cancelled {
		c.t.Errorf("job is %s", j.State)
	}
}

// running submits a prompt and waits until the model has been asked.
func (c *composition) running(input string) string {
	c.t.Helper()
	id := c.submit(input)
	c.until("the model is asked "+input, func() bool { return c.model.asked(input) == 1 })
	return id
}

// triesSecrets: not in a command line, not in a log.
func (c *composition) triesSecrets() {
	secrets := map[string]string{}
	for _, name := range []string{"POSTGRES_PASSWORD", "REDIS_PASSWORD", "SANDPIPER_API_KEY", "SANDPIPER_API_KEYS", "DAYTONA_API_KEY", "ANTHROPIC_API_KEY"} {
		if secrets[name] = c.env[name]; len(c.env[name]) < 16 {
			c.t.Errorf("%s is no secret", name)
		}
	}
	tell := func(where, text string) {
		for name, secret := range secrets {
			if strings.Contains(text, secret) {
				c.t.Errorf("%s shows %s", where, name)
			}
		}
	}
	for service := range services {
		for _, id := range c.containers(service) {
			tell("the command of "+service, c.look(id, "{{json .Path}} {{json .Args}} {{json .Config.Cmd}} {{json .Config.Entrypoint}} {{json .Config.Healthcheck}} {{json .Config.Labels}}"))
			tell("the processes of "+service, c.docker("top", id, "-eo", "pid,args"))
			logged := c.docker("logs", id)
			tell("the log of "+service, logged)
			if logged == "" && service != "model" {
				c.t.Errorf("%s has logged nothing", service)
			}
		}
	}
	tell("the log of migrate", c.do("logs", "--no-color", "migrate"))
}
