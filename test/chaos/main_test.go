package chaos

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// How long and how hard. The defaults are the short form of make test, always with one plan; make chaos names its own.
var (
	seed     = flag.Uint64("seed", 2028, "from which the jobs and the faults come; 0 takes one from the clock")
	minutes  = flag.Float64("minutes", 1, "how long things are broken")
	jobs     = flag.Int("jobs", 160, "how many jobs are run with the stand-in for the command")
	realJobs = flag.Int("real", 8, "how many jobs are run with the real command, in a fleet of their own")
	report   = flag.String("report", "", "file that the table is added to")
	clocks   = flag.Bool("clocks", false, "set the workers' clocks too, which takes programs built with all of the standard library anew")
	calm     = flag.Bool("calm", false, "break nothing: what the machine can do without")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().Unix())
	}
	goleak.VerifyTestMain(built{m})
}

// built are the tests, and what was built for them.
type built struct{ *testing.M }

// Run runs the tests and removes the programs.
func (b built) Run() int {
	defer func() {
		if folder != "" {
			_ = os.RemoveAll(folder)
		}
	}()
	return b.M.Run()
}

var (
	folder string
	once   sync.Once
)

// programs are the real ones, and the stand-in for the command, built for the first test that needs them.
func programs(t testing.TB) string {
	t.Helper()
	once.Do(func() {
		var err error
		if folder, err = os.MkdirTemp("", "chaos-bin-"); err != nil {
			t.Fatal(err)
		}
		build(t, folder)
	})
	if t.Failed() || folder == "" {
		t.Fatal("the programs were not built")
	}
	return folder
}

// build builds the programs into a folder. More are arguments of go build.
func build(t testing.TB, into string, more ...string) {
	t.Helper()
	cmd := exec.Command("go", append(append([]string{"build", "-o", into + "/"}, more...), "./cmd/...", "./test/chaos/standin")...)
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
}
