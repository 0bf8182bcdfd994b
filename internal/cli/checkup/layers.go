package checkup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/queue"
)

// answering is how long one prompt may take.
const answering = 2 * time.Minute

var (
	everything = []string{"platform", "key", "snapshot", "sandbox", "cli", "secret", "dns", "https"}
	guideList  = []string{"sandbox", "cli", "secret"}
)

// Doctor is the guide's diagnostic commands and more, against what is configured.
func Doctor(ctx context.Context, o Options) []Line {
	return run(ctx, o, everything, func(v *visit) []check {
		return []check{
			{"redis", 10 * time.Second, false, v.redis},
			{"one tiny prompt", answering, false, v.asks("sonnet", "json")},
		}
	})
}

// Snapshot is the guide's first layer: a sandbox from the snapshot, and what must be in it.
func Snapshot(ctx context.Context, o Options) []Line {
	return run(ctx, o, append([]string{"snapshot"}, guideList...), func(v *visit) []check {
		return []check{
			{"workspace", 20 * time.Second, false, v.workspace},
			{"correct answer", answering, false, v.asks("sonnet", "json")},
		}
	})
}

// Claude is the guide's second layer: the command through the pipe, with each model and both formats.
func Claude(ctx context.Context, o Options) []Line {
	return run(ctx, o, guideList, func(v *visit) []check {
		return []check{
			{"correct answer: sonnet, json", answering, false, v.asks("sonnet", "json")},
			{"correct answer: haiku, json", answering, false, v.asks("haiku", "json")},
			{"correct answer: sonnet, text", answering, false, v.asks("sonnet", "text")},
		}
	})
}

// Session is the guide's third layer: both patterns of naming a session, and one that was lost.
func Session(ctx context.Context, o Options) []Line {
	return run(ctx, o, guideList, func(v *visit) []check {
		return []check{
			{"correct answer: session named after the sandbox", answering, false, v.asks("sonnet", "json")},
			{"correct answer: session from getSession", answering, false, v.bySession},
			{"a lost session is made again", time.Minute, false, v.renew},
		}
	})
}

func (v *visit) asks(model, format string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return v.ask(ctx, v.box.ID, model, format) }
}

// workspace looks for what the snapshot's image adds.
func (v *visit) workspace(ctx context.Context) (string, error) {
	const want = "/home/daytona/workspace"
	out, err := v.tools.Exec(ctx, v.box.ID, "cd "+want+" && ls -d CLAUDE.md context decisions documents analysis deliverables | wc -l")
	if err != nil {
		return "", err
	}
	if found := strings.TrimSpace(out.Stdout); out.ExitCode != 0 || found != "6" {
		return "", remedy(fmt.Errorf("%s lacks what the guide's layout has: %s", want, short(out.Stderr)), "use a snapshot that has it: `sandpiper snapshot build` makes one")
	}
	return want + " is as the guide has it", nil
}

// bySession is the guide's second pattern: the name comes from the session that was read.
func (v *visit) bySession(ctx context.Context) (string, error) {
	s, err := v.tools.Session(ctx, v.box.ID)
	if err != nil {
		return "", err
	}
	if s.ID != v.box.ID {
		return "", fmt.Errorf("session %s calls itself %q", v.box.ID, s.ID)
	}
	return v.ask(ctx, s.ID, "sonnet", "json")
}

// renew takes the session away and works on.
func (v *visit) renew(ctx context.Context) (string, error) {
	if err := v.tools.DeleteSession(ctx, v.box.ID); err != nil {
		return "", err
	}
	if _, err := v.tools.Exec(ctx, v.box.ID, "true"); !errors.Is(err, daytona.ErrSessionGone) && !errors.Is(err, daytona.ErrNotFound) {
		return "", fmt.Errorf("a command in a session that was deleted: %v, want that it is gone", err)
	}
	if err := v.tools.RenewSession(ctx, v.box.ID); err != nil {
		return "", err
	}
	out, err := v.tools.Exec(ctx, v.box.ID, "echo again")
	if err != nil || strings.TrimSpace(out.Stdout) != "again" {
		return "", fmt.Errorf("the session that was made again says %q: %w", out.Stdout, err)
	}
	return "deleted, seen to be gone, made again, used", nil
}

// redis looks whether the queue's Redis answers as soon as the queue needs it.
func (v *visit) redis(ctx context.Context) (string, error) {
	if v.cfg.EmbeddedRedis() {
		return "embedded: REDIS_URL is not set", nil
	}
	q, err := queue.Open(v.cfg.RedisURL.Reveal(), queue.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", err
	}
	defer q.Close()
	if !q.Alive(ctx) {
		return "", remedy(errors.New("it does not answer in time"), "start it, or correct REDIS_URL; meanwhile jobs are taken from the database, up to a second later")
	}
	if err := q.Policy(ctx); errors.Is(err, queue.ErrPolicy) {
		return "", err
	}
	return "answers", nil
}
