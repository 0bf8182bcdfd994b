package chaos

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// fault is one thing that is to be broken.
type fault struct {
	at     time.Duration // after the chaos began
	what   string        // a name in faults
	target int           // which of several
	length time.Duration // of what lasts, and until what was ended is started again
	size   int           // bytes, or how many
}

// weights say how often each fault comes, beside the others.
var weights = []struct {
	what   string
	weight int
}{
	{"kill -9 worker", 34},
	{"kill -9 api", 16},
	{"kill -9 daytona", 14},
	{"SIGTERM worker", 24},
	{"SIGTERM api", 12},
	{"SIGTERM daytona", 6},
	{"SIGSTOP worker", 24},
	{"SIGSTOP api", 8},
	{"SIGSTOP daytona", 8},
	{"FLUSHALL", 16},
	{"redis restarted", 10},
	{"redis paused", 8},
	{"postgres restarted", 7},
	{"postgres crashed", 4},
	{"postgres paused", 4},
	{"cut postgres", 40},
	{"cut redis", 30},
	{"cut sandboxes", 60},
	{"cut clients", 40},
	{"slow postgres", 12},
	{"slow redis", 12},
	{"slow sandboxes", 14},
	{"slow clients", 10},
	{"lose commit", 110},
	{"lose hint", 60},
	{"lose sandbox answer", 110},
	{"half sandbox answer", 40},
	{"sandbox 500", 40},
	{"sandbox 429", 30},
	{"lose api answer", 40},
	{"half api answer", 20},
	{"api 500", 20},
	{"hint twice", 60},
	{"sandbox stopped", 14},
	{"sandbox deleted", 8},
	{"away together", 6},
	{"clock jumps", 14},
}

// plan is what is broken, when and for how long: all of it from the seed.
func plan(seed uint64, over time.Duration) []fault {
	r := rand.New(rand.NewPCG(seed, 2))
	sum := 0
	for _, w := range weights {
		sum += w.weight
	}
	var all []fault
	for at := time.Second; ; {
		at += time.Duration(r.ExpFloat64() * float64(pace))
		if at >= over {
			return all
		}
		pick := r.IntN(sum)
		i := 0
		for pick >= weights[i].weight {
			pick -= weights[i].weight
			i++
		}
		all = append(all, fault{
			at: at, what: weights[i].what, target: r.IntN(1 << 16),
			length: 200*time.Millisecond + time.Duration(r.ExpFloat64()*float64(2*time.Second)), size: 1 << r.IntN(14),
		})
	}
}

// pace is the mean time between two faults.
const pace = 600 * time.Millisecond

// TestThePlanComesFromTheSeed, and has every fault in it that there is, in ten minutes.
func TestThePlanComesFromTheSeed(t *testing.T) {
	a, b := plan(7, 10*time.Minute), plan(7, 10*time.Minute)
	if !reflect.DeepEqual(a, b) {
		t.Error("a seed gives two plans")
	}
	if reflect.DeepEqual(a, plan(8, 10*time.Minute)) {
		t.Error("two seeds give one plan")
	}
	if len(a) < 800 {
		t.Errorf("%d faults in ten minutes", len(a))
	}
	for _, w := range weights {
		if !slices.ContainsFunc(a, func(f fault) bool { return f.what == w.what }) {
			t.Errorf("%q does not come", w.what)
		}
		if faults[w.what] == nil {
			t.Errorf("nobody knows how to break %q", w.what)
		}
	}
}
