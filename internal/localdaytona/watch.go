package localdaytona

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

// sizeShare bounds what counting a home may cost: after a count that took a second, the next one is a minute later.
const sizeShare = 60

// watch stops a started sandbox that is over a limit.
func (s *Server) watch(ctx context.Context, r *record, now time.Time) {
	s.mu.Lock()
	box := *r
	s.mu.Unlock()
	if box.State != started || ctx.Err() != nil {
		return
	}
	if reason := s.overTasks(r, &box); reason != "" {
		s.stopOver(r, stopped, reason)
		return
	}
	// What is over its disk would be so again after a start, and end the next run too: it cannot be started.
	if reason := s.overDisk(ctx, r, &box, now); reason != "" {
		s.stopOver(r, failed, reason)
	}
}

// overTasks looks at processes, and at memory where no cgroup does it. A cgroup that is full needs no hurry, and may be
// full for a moment only; but while it is, not even a command that ends the processes can be started.
func (s *Server) overTasks(r, box *record) string {
	group := s.groups.tasks.dir != "" && len(box.Groups) > 0
	if group && s.limits.Tasks > 0 {
		if s.groups.tasks.current(box.ID) < s.limits.Tasks {
			r.full = 0
			return ""
		}
		if r.full++; r.full < 2 {
			return ""
		}
		return fmt.Sprintf("the sandbox reached its limit of %d processes and threads, and stayed there", s.limits.Tasks)
	}
	if group && s.groups.memory.dir != "" {
		return ""
	}
	used := usageBelow(box.Daemon.PID)
	switch {
	case s.limits.Tasks > 0 && used.tasks > s.limits.Tasks:
		return fmt.Sprintf("the sandbox had %d processes and threads; its limit is %d", used.tasks, s.limits.Tasks)
	case s.groups.memory.dir == "" && s.limits.Memory > 0 && used.memory > s.limits.Memory:
		return fmt.Sprintf("the sandbox used %s of memory; its limit is %s", inMiB(used.memory), inMiB(s.limits.Memory))
	}
	return ""
}

func (s *Server) overDisk(ctx context.Context, r, box *record, now time.Time) string {
	if s.limits.Disk <= 0 || now.Before(r.nextSize) {
		return ""
	}
	began := time.Now()
	size := int64(0)
	for _, name := range []string{"home", "tmp", "sessions"} {
		size += sizeOf(ctx, filepath.Join(box.dir, name), s.limits.Disk-size)
	}
	r.nextSize = now.Add(sizeShare * time.Since(began))
	if size <= s.limits.Disk {
		return ""
	}
	return fmt.Sprintf("the sandbox's files take more than its disk limit of %s", inMiB(s.limits.Disk))
}

var errEnough = errors.New("enough was counted")

// sizeOf is the room that the files below dir take on the disk; it stops counting past enough. What an ordinary user
// running us may not enter is not counted.
func sizeOf(ctx context.Context, dir string, enough int64) (size int64) {
	type inode struct{ dev, ino uint64 }
	linked := map[inode]bool{}
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil || size > enough {
			return errEnough
		}
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile, or closed to us
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			if st.Nlink > 1 && !d.IsDir() {
				i := inode{uint64(st.Dev), st.Ino}
				if linked[i] {
					return nil
				}
				linked[i] = true
			}
			size += st.Blocks * 512
		}
		return nil
	})
	return size
}

// stopOver ends a sandbox at once, and leaves it in a state with a reason. Its files are kept.
func (s *Server) stopOver(r *record, state, reason string) {
	err := s.begin(r, stopping, func(r *record) error {
		if r.State != started {
			return errors.New("not started")
		}
		return nil
	})
	if err != nil {
		return // it is changing already, or has just ended by itself
	}
	s.log.Warn("sandbox stopped: over a limit", "sandboxId", r.ID, "reason", reason)
	s.behind(func() {
		if err := s.endDaemon(r, true); err != nil {
			state, reason = failed, err.Error()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.change(r, state, reason)
	})
}
