package boot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// process names a process for good: a pid alone is given to another one after its end.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot, field 22 of /proc/PID/stat (proc(5))
}

// identify reads what /proc says of pid.
func identify(pid int) (process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The name in parentheses may hold blanks and parentheses itself: fields count from the last one.
	rest := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, threads, start = 0, 17, 19
	if len(rest) <= start {
		return process{}, fmt.Errorf("read start time of %d: short line", pid)
	}
	// A zombie whose other threads are still on their way out holds its files and ports a moment longer.
	if s := rest[state][0]; s == 'X' || (s == 'Z' && string(rest[threads]) <= "1") {
		return process{}, os.ErrProcessDone
	}
	ticks, err := strconv.ParseUint(string(rest[start]), 10, 64)
	return process{PID: pid, Start: ticks}, err
}

// alive reports whether p itself, and not another process with its pid, is running.
func (p process) alive() bool {
	now, err := identify(p.PID)
	return err == nil && p.PID > 0 && now.Start == p.Start
}

// signal sends s to p if it is still the same process.
func (p process) signal(s syscall.Signal) error {
	if !p.alive() {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.PID, s)
}

// end asks p to stop and, after grace, makes it.
func (p process) end(grace time.Duration) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return ignoreDone(err)
	}
	if waitFor(grace, func() bool { return !p.alive() }) {
		return nil
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return ignoreDone(err)
	}
	if !waitFor(5*time.Second, func() bool { return !p.alive() }) {
		return fmt.Errorf("process %d does not end", p.PID)
	}
	return nil
}

func ignoreDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// waitFor looks at a foreign process, which cannot signal us, until ok or the time is over.
func waitFor(most time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(most)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if ok() {
			tick.Stop()
			return true
		}
		if time.Now().After(deadline) {
			tick.Stop()
			return false
		}
	}
}
