package localdaytona

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"sandpiper/internal/localdaytona/daemon"
)

// Limits are what one sandbox may use. 0 means the default, a negative number no limit.
//
// Memory and tasks are held by the kernel where a cgroup can be made. Everywhere, the server looks each turn, and stops a
// sandbox that is over a limit, with the reason in its errorReason.
type Limits struct {
	Memory int64 // bytes; by default 4 GiB, or half of the machine's if that is less
	Tasks  int   // processes and threads; by default 2048
	Disk   int64 // bytes in its home, its /tmp and its logs; by default 10 GiB
}

const gib = 1 << 30

// nprocFactor is how many sandboxes' tasks share one RLIMIT_NPROC.
const nprocFactor = 4

func (l Limits) orDefault() Limits {
	memory := int64(4 * gib)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		memory = min(memory, int64(uint64(info.Totalram)*uint64(info.Unit)/2))
	}
	return Limits{cmp.Or(l.Memory, memory), cmp.Or(l.Tasks, 2048), cmp.Or(l.Disk, 10*gib)}
}

// inGiB is a limit as the protocol tells it; 0 for none.
func inGiB(bytes int64) int { return int((max(0, bytes) + gib - 1) / gib) }

// rlimits sets what a sandbox's daemon hands down to everything in it. A file of more than the whole disk limit cannot
// be, so RLIMIT_FSIZE is no hardship, and stops the fastest hog at once. There is no RLIMIT_AS: programs such as the CLI
// map far more than they use. RLIMIT_NPROC counts all processes of a user id, so it is for machines without a cgroup,
// generous, and only where sandboxes have a user id, or a user namespace, of their own.
func (s *Server) rlimits(pid int) error {
	if s.limits.Disk > 0 {
		if err := lower(pid, unix.RLIMIT_FSIZE, uint64(s.limits.Disk)); err != nil {
			return err
		}
	}
	if s.sharesTasks() {
		return lower(pid, unix.RLIMIT_NPROC, uint64(nprocFactor*s.limits.Tasks))
	}
	return nil
}

// sharesTasks reports whether RLIMIT_NPROC stands in for a cgroup.
func (s *Server) sharesTasks() bool {
	return s.limits.Tasks > 0 && s.groups.tasks.dir == "" && s.isolation.contained()
}

// lower sets a limit of another process; one that is lower already stays.
func lower(pid, resource int, to uint64) error {
	var now unix.Rlimit
	if err := unix.Prlimit(pid, resource, nil, &now); err != nil {
		return fmt.Errorf("read a sandbox's limits: %w", err)
	}
	to = min(to, now.Max)
	if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: to, Max: to}, nil); err != nil {
		return fmt.Errorf("limit a sandbox: %w", err)
	}
	return nil
}

// limit holds a new daemon, and so everything that it will start, to the limits. A sandbox that cannot be held by the
// kernel is not refused: the server's own look goes on.
func (s *Server) limit(r *record) {
	r.Groups = s.groups.names(r.ID)
	if err := s.groups.hold(r.ID, r.Daemon.PID, s.limits); err != nil {
		s.log.Warn("a sandbox is not held to its limits by the kernel", "sandboxId", r.ID, "err", err)
	}
	if err := s.rlimits(r.Daemon.PID); err != nil {
		s.log.Warn("a sandbox is not held to its limits by the kernel", "sandboxId", r.ID, "err", err)
	}
}

// Limits says what a sandbox may use and what holds it to that, on this machine.
func (s *Server) Limits() string {
	look := fmt.Sprintf("looked at every %s", s.o.TurnEvery)
	memory, tasks := look+" only: "+s.groups.memory.why, look+" only: "+s.groups.tasks.why
	if s.groups.memory.dir != "" {
		memory = s.groups.memory.String()
	}
	switch {
	case s.groups.tasks.dir != "":
		tasks = s.groups.tasks.String() + "; " + look
	case s.sharesTasks():
		tasks = fmt.Sprintf("%s; all sandboxes together %d by RLIMIT_NPROC: %s", look, nprocFactor*s.limits.Tasks, s.groups.tasks.why)
	}
	return strings.Join([]string{
		told("memory", inMiB(s.limits.Memory), memory),
		told("tasks", fmt.Sprint(max(0, s.limits.Tasks)), tasks),
		told("disk", inMiB(s.limits.Disk), look+"; one file by RLIMIT_FSIZE"),
	}, ", ")
}

func told(what, most, by string) string {
	if most == "0" {
		return what + " without a limit"
	}
	return fmt.Sprintf("%s %s (%s)", what, most, by)
}

func inMiB(bytes int64) string {
	if bytes <= 0 {
		return "0"
	}
	return fmt.Sprintf("%d MiB", (bytes+1<<20-1)>>20)
}

// usage is what a sandbox's processes use, as /proc says it: threads, and memory that is theirs alone.
type usage struct {
	tasks  int
	memory int64
}

// usageBelow adds up a daemon and everything below it.
func usageBelow(pid int) usage {
	var sum usage
	for _, p := range append(daemon.Descendants(pid), pid) {
		dir := fmt.Sprintf("/proc/%d/", p)
		stat, err := os.ReadFile(dir + "stat")
		if err != nil {
			continue
		}
		var threads int
		if f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(f) > 17 {
			_, _ = fmt.Sscan(f[17], &threads) // num_threads, field 20 (proc(5))
		}
		sum.tasks += threads
		statm, _ := os.ReadFile(dir + "statm")
		var size, resident, shared int64
		_, _ = fmt.Sscan(string(statm), &size, &resident, &shared) // it has ended: nothing
		sum.memory += (resident - shared) * int64(os.Getpagesize())
	}
	return sum
}
