package localdaytona

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// controller is where groups of one kind can be made for sandboxes; dir is "" where they cannot, and why says so.
type controller struct {
	name string // memory, pids
	dir  string // an existing group of ours
	v2   bool
	why  string
}

func (c controller) String() string {
	if c.v2 {
		return "cgroup v2"
	}
	return "cgroup v1"
}

// cgroups holds sandboxes to their memory and number of tasks, where this machine lets us. Each sandbox is a group
// below our own, so that what limits us limits it too. With cgroup v2 a group with processes in it cannot have
// limited children (cgroups(7), "no internal processes"): there it is a group beside ours, if those may be limited.
type cgroups struct{ memory, tasks controller }

// findCgroups tries what can be made, and removes it again.
func findCgroups() cgroups {
	places, err := cgroupPlaces("/proc/self/mountinfo", "/proc/self/cgroup")
	if err != nil {
		return cgroups{controller{why: err.Error()}, controller{why: err.Error()}}
	}
	return cgroups{places.find("memory"), places.find("pids")}
}

// find takes the first place where a limit can be set.
func (p places) find(name string) controller {
	why := fmt.Sprintf("no cgroup with %s here", name)
	for _, dir := range p.of(name) {
		c := controller{name: name, dir: dir, v2: p.v2[dir]}
		err := c.try()
		if err == nil {
			return c
		}
		why = err.Error()
	}
	return controller{name: name, why: why}
}

func (c controller) try() error {
	g := filepath.Join(c.dir, fmt.Sprintf("sandpiper-try-%d", os.Getpid()))
	if err := os.Mkdir(g, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	defer unix.Rmdir(g) //nolint:errcheck // empty; at worst it stays so
	return c.set(g, Limits{Memory: gib, Tasks: 1024})
}

// set writes a group's limits. Swap would only make a hog slower, so there is none beyond the memory, where the kernel
// counts it at all.
func (c controller) set(group string, l Limits) error {
	write := func(file string, n int64) error {
		value := "max"
		if n > 0 {
			value = strconv.FormatInt(n, 10)
		} else if !c.v2 && c.name == "memory" {
			value = "-1"
		}
		return os.WriteFile(filepath.Join(group, file), []byte(value), 0)
	}
	switch {
	case c.name == "pids":
		return write("pids.max", int64(l.Tasks))
	case c.v2:
		_ = os.WriteFile(filepath.Join(group, "memory.swap.max"), []byte("0"), 0)
		return write("memory.max", l.Memory)
	default:
		if err := write("memory.limit_in_bytes", l.Memory); err != nil {
			return err
		}
		_ = write("memory.memsw.limit_in_bytes", l.Memory)
		return nil
	}
}

func (c controller) group(id string) string { return filepath.Join(c.dir, "sandpiper-"+id) }

// each are the controllers that work.
func (g cgroups) each() (found []controller) {
	for _, c := range []controller{g.memory, g.tasks} {
		if c.dir != "" {
			found = append(found, c)
		}
	}
	return found
}

// names are the groups that a sandbox will have.
func (g cgroups) names(id string) (names []string) {
	for _, c := range g.each() {
		names = append(names, c.group(id))
	}
	slices.Sort(names)
	return slices.Compact(names) // v2 has one for both
}

// hold makes a sandbox's groups and moves its daemon into them, before it has started anything.
func (g cgroups) hold(id string, pid int, l Limits) error {
	var faults []error
	for _, c := range g.each() {
		dir := c.group(id)
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, os.ErrExist) {
			err = nil
		}
		if err == nil {
			err = c.set(dir, l)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// current is how many tasks a sandbox's group has.
func (c controller) current(id string) int {
	b, err := os.ReadFile(filepath.Join(c.group(id), "pids.current"))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

// removeGroups removes the groups of a sandbox whose processes have ended. The kernel lets go of the last one a moment
// after its end.
func removeGroups(names []string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, name := range names {
		for tries := 0; tries < 100 && errors.Is(unix.Rmdir(name), unix.EBUSY); tries++ {
			<-tick.C
		}
	}
}

// places are the folders of our own groups: by controller (v1), and in order of preference for v2.
type places struct {
	v1      map[string]string
	unified []string
	v2      map[string]bool
}

func (p places) of(name string) (dirs []string) {
	if dir, ok := p.v1[name]; ok {
		return []string{dir}
	}
	for _, dir := range p.unified {
		children, _ := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
		if slices.Contains(strings.Fields(string(children)), name) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// cgroupPlaces reads where the hierarchies are mounted (proc_pid_mountinfo(5)) and which groups are ours (cgroups(7)).
func cgroupPlaces(mountinfo, own string) (places, error) {
	p := places{v1: map[string]string{}, v2: map[string]bool{}}
	groups, err := ownGroups(own)
	if err != nil {
		return p, err
	}
	mounts, err := os.ReadFile(mountinfo)
	if err != nil {
		return p, fmt.Errorf("read the mounts: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		left, right, ok := strings.Cut(line, " - ")
		where, kind := strings.Fields(left), strings.Fields(right)
		if !ok || len(where) < 5 || len(kind) < 3 {
			continue
		}
		root, at := where[3], where[4]
		switch kind[0] {
		case "cgroup":
			for _, name := range strings.Split(kind[2], ",") {
				if group, ok := groups[name]; ok {
					p.v1[name] = below(at, root, group)
				}
			}
		case "cgroup2":
			for dir := below(at, root, groups[""]); len(dir) >= len(at); dir = path.Dir(dir) {
				p.unified = append(p.unified, dir)
				p.v2[dir] = true
			}
		}
	}
	return p, nil
}

// below is where a group is, in a hierarchy of which root is mounted at a place.
func below(at, root, group string) string {
	if rest, ok := strings.CutPrefix(group, root); ok {
		group = rest
	}
	return path.Join(at, cmp.Or(group, "/"))
}

// ownGroups maps controllers to our groups; "" is cgroup v2.
func ownGroups(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read our cgroups: %w", err)
	}
	defer f.Close()
	groups := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if part := strings.SplitN(lines.Text(), ":", 3); len(part) == 3 {
			for _, name := range strings.Split(part[1], ",") {
				groups[name] = part[2]
			}
		}
	}
	return groups, nil
}
