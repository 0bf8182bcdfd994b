package checkup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sandpiper/client"
)

// API is the guide's layer of endpoints: a sandbox, a prompt in it, and its messages over the WebSocket.
func API(ctx context.Context, o Options) []Line {
	return runAPI(ctx, o, func(t *through) []check {
		return []check{
			{"sandbox from snapshot", 3 * time.Minute, true, t.makeSandbox},
			{"messages over the WebSocket", answering, true, t.messages},
			{"CLI version", time.Second, false, t.line("claude --version OK", "the snapshot has no claude command: `sandpiper snapshot build` makes one that has")},
			{"ANTHROPIC_API_KEY present", time.Second, false, t.line("ANTHROPIC_API_KEY: present", "set ANTHROPIC_API_KEY where `sandpiper up` runs")},
			{"correct answer", time.Second, false, t.answered},
			{"the same Idempotency-Key is the same job", answering, false, t.again},
			{"a wrong body is refused, every fault named", 10 * time.Second, false, t.refused},
		}
	})
}

// E2E is the guide's whole pipeline: the user's own prompt, with a sandbox from the pool.
func E2E(ctx context.Context, o Options) []Line {
	return runAPI(ctx, o, func(t *through) []check {
		return []check{
			{"accepted, run and streamed", most, true, t.whole},
			{"sandbox from snapshot", time.Second, false, t.pooled},
			{"CLI version", time.Second, false, t.line("claude --version OK", "the snapshot has no claude command: `sandpiper snapshot build` makes one that has")},
			{"ANTHROPIC_API_KEY present", time.Second, false, t.line("ANTHROPIC_API_KEY: present", "set ANTHROPIC_API_KEY where `sandpiper up` runs")},
			{"correct answer", time.Second, false, t.answered},
		}
	})
}

// messages sends the sum and looks at the order of what came.
func (t *through) messages(ctx context.Context) (string, error) {
	if err := t.send(ctx, client.Submit{SandboxID: t.sandbox, Input: sum, IdempotencyKey: t.sandbox}); err != nil {
		return "", err
	}
	return t.inOrder()
}

// whole sends what the user gave.
func (t *through) whole(ctx context.Context) (string, error) {
	if err := t.send(ctx, client.Submit{Input: t.input()}); err != nil {
		return "", err
	}
	return t.inOrder()
}

func (t *through) input() string {
	if t.o.Input != "" {
		return t.o.Input
	}
	return sum
}

// inOrder looks for the guide's flow: it starts, it executes, one done at the end, no gap.
func (t *through) inOrder() (string, error) {
	for i, e := range t.events {
		if e.Seq != int64(i+1) {
			return "", fmt.Errorf("message %d has seq %d", i+1, e.Seq)
		}
		if (e.Type == client.EventDone) != (i == len(t.events)-1) {
			return "", fmt.Errorf("message %d of %d is %s", i+1, len(t.events), e.Type)
		}
	}
	for _, line := range []string{"job started", "executing claude command"} {
		if !t.said(line) && t.job.Error == nil {
			return "", fmt.Errorf("no message says %q", line)
		}
	}
	return fmt.Sprintf("%d messages in order, %s", len(t.events), t.job.JobID), nil
}

// line looks for one of the guide's log lines.
func (t *through) line(text, do string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		if !t.said(text) {
			return "", remedy(fmt.Errorf("no message says %q", text), do)
		}
		return text, nil
	}
}

func (t *through) pooled(context.Context) (string, error) {
	if t.job.SandboxID == "" {
		return "", errors.New("the job had none")
	}
	return t.job.SandboxID, nil
}

// answered judges the sum; of another prompt it can only say that there is an answer.
func (t *through) answered(context.Context) (string, error) {
	switch j := t.job; {
	case j.Error != nil:
		return "", remedy(fmt.Errorf("the job ended as %s with %s: %s", j.State, j.Error.Code, short(j.Error.Message)), advice(j.Error.Message))
	case j.Result == nil || strings.TrimSpace(j.Result.Text) == "":
		return "", errors.New("the answer is empty")
	case t.o.Input != "" && t.o.Input != sum:
		return fmt.Sprintf("there is one; is it right? %q", short(j.Result.Text)), nil
	default:
		return rightAnswer(j.Result.Text, time.Duration(j.Timings.QueuedMS+j.Timings.RunMS)*time.Millisecond)
	}
}

// again sends the same once more.
func (t *through) again(ctx context.Context) (string, error) {
	id, err := t.api.Submit(ctx, client.Submit{UserID: t.user, SandboxID: t.sandbox, Input: sum, IdempotencyKey: t.sandbox})
	if err == nil && id != t.job.JobID {
		t.endJob(ctx, id)
		err = fmt.Errorf("it became %s, a second job", id)
	}
	return id, err
}

func (t *through) refused(ctx context.Context) (string, error) {
	_, err := t.api.Submit(ctx, client.Submit{UserID: t.user, Input: " ", Model: "gpt"})
	var p *client.Problem
	if !errors.As(err, &p) || p.Status/100 != 4 || len(p.Errors) != 2 {
		return "", fmt.Errorf("a blank prompt for an unknown model: %v", err)
	}
	return fmt.Sprintf("%d %s", p.Status, p.Code), nil
}
