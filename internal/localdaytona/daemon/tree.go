package daemon

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Descendants are the living processes below pid, found by walking parents in /proc. A process whose parent has
// ended belongs to the daemon then, so below the daemon's own pid nothing is missed; below another it may be.
func Descendants(pid int) []int {
	parents := parentsOf()
	below := map[int]bool{pid: true}
	var found []int
	for grown := true; grown; {
		grown = false
		for p, parent := range parents {
			if below[parent] && !below[p] {
				below[p], grown = true, true
				found = append(found, p)
			}
		}
	}
	return found
}

// parentsOf maps every living process to its parent. Zombies are dead.
func parentsOf() map[int]int {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	parents := make(map[int]int, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if parent, ok := parentOf(pid); ok {
			parents[pid] = parent
		}
	}
	return parents
}

func parentOf(pid int) (int, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	// The name in parentheses may hold anything, so count from its last one (proc(5)): state, then parent.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return parent, err == nil
}

// endAll asks pids() to end by TERM, again and again for new ones, and kills what is left after grace. It returns
// when pids() finds nothing, or when a further second of killing did not help.
func endAll(pids func() []int, grace time.Duration) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	asked := map[int]bool{}
	for began := time.Now(); time.Since(began) < grace+time.Second; <-tick.C {
		left := pids()
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			if time.Since(began) >= grace {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			} else if !asked[pid] {
				asked[pid] = true
				_ = syscall.Kill(pid, syscall.SIGTERM)
			}
		}
	}
}
