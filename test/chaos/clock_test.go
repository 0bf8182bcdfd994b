package chaos

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// jump sets the clock of a worker an hour forth or back, or right again.
func (b *breaker) jump(f fault) {
	p := b.workers[f.target%len(b.workers)]
	if p.clock == "" {
		return
	}
	b.ledger.hit(f.what)
	by := []int64{-3600, 0, 3600}[f.target/8%3]
	b.may(setClock(p.clock, by))
}

// setClock writes how wrong a clock is, in seconds, where the process looks each time it is asked for the time.
func setClock(path string, seconds int64) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(seconds)), 0)
	return err
}

// clockSource is added to package time of a worker whose clock can be wrong. The monotonic clock stays right, as it does
// when somebody sets a machine's clock.
const clockSource = `package time

import (
	"syscall"
	"unsafe"
)

var wrong *int64

func init() {
	path, _ := syscall.Getenv("CHAOS_CLOCK")
	file, err := syscall.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		return
	}
	page, err := syscall.Mmap(file, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err == nil {
		wrong = (*int64)(unsafe.Pointer(&page[0]))
	}
}

func wrongBy() int64 {
	if wrong == nil {
		return 0
	}
	return *wrong
}
`

var (
	clockFolder string
	clockOnce   sync.Once
)

// wrongClocks is the folder of a worker whose clock can be set: the go command builds it with another package time.
func wrongClocks(t testing.TB) string {
	t.Helper()
	clockOnce.Do(func() {
		dir := filepath.Join(programs(t), "clock-sources")
		root, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			t.Fatal(err)
		}
		source := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
		raw, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		const asked = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
		if strings.Count(string(raw), asked) != 1 {
			t.Fatalf("%s tells the time in another way: say anew how it is made wrong", source)
		}
		write(t, filepath.Join(dir, "time.go"), []byte(strings.Replace(string(raw), asked, asked+"\tsec += wrongBy()\n", 1)))
		write(t, filepath.Join(dir, "wrong.go"), []byte(clockSource))
		overlay := replacing(t, dir, map[string]string{
			source: filepath.Join(dir, "time.go"), filepath.Join(filepath.Dir(source), "wrong.go"): filepath.Join(dir, "wrong.go"),
		})
		into := filepath.Join(programs(t), "wrong-clocks")
		build(t, into, "-overlay", overlay)
		clockFolder = into
	})
	if clockFolder == "" {
		t.Fatal("the programs with wrong clocks were not built")
	}
	return clockFolder
}
