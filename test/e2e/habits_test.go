package e2e

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"time"

	"sandpiper/internal/worker"
)

// habit changes what a worker does by itself. It has a name, so that it reaches a worker in a process of its own too.
type habit string

const (
	quick      habit = "quick"       // does not wait before it tries again
	askOnce    habit = "ask once"    // the command asks the API once, and waits for it for 2 s
	askAgain   habit = "ask again"   // the command asks the API twice
	everyShell habit = "every shell" // a run may use all of Bash
	laneless   habit = "laneless"    // a refusal by the API is the job's own, and costs a try
)

var habits = map[habit]func(*worker.Options){
	quick:    func(o *worker.Options) { o.Backoff = time.Millisecond },
	askOnce:  func(o *worker.Options) { o.Retries, o.APITimeout = 0, 2*time.Second },
	askAgain: func(o *worker.Options) { o.Retries = 1 },
	laneless: func(o *worker.Options) { o.Key = "" },
	everyShell: func(o *worker.Options) {
		o.Policy.Allowed = append(slices.Clone(o.Policy.Allowed), "Bash")
	},
}

func tune(o *worker.Options, with []habit) {
	for _, h := range with {
		habits[h](o)
	}
}

// habitsVar tells a process its habits, separated by commas.
const habitsVar = "E2E_HABITS"

func habitsOfProcess(o *worker.Options) {
	for name := range strings.SplitSeq(cmp.Or(os.Getenv(habitsVar), ""), ",") {
		if change := habits[habit(name)]; change != nil {
			change(o)
		}
	}
}
