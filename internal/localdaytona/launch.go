package localdaytona

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sandpiper/internal/localdaytona/daemon"
)

// startPatience is how long a daemon may take to answer; it needs some tens of milliseconds.
const startPatience = 30 * time.Second

// furnish makes a new sandbox's folders and workspace.
func (i isolation) furnish(box string, workspace []WorkspaceEntry) error {
	for name, mode := range map[string]fs.FileMode{"home": 0o755, "tmp": fs.ModeSticky | 0o777, "sessions": 0o755} {
		path := filepath.Join(box, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return fmt.Errorf("make a sandbox's folder: %w", err)
		}
		if err := os.Chmod(path, mode); err != nil { // past the umask
			return fmt.Errorf("make a sandbox's folder: %w", err)
		}
	}
	home := filepath.Join(box, "home")
	if err := os.MkdirAll(filepath.Join(home, "workspace"), 0o755); err != nil {
		return fmt.Errorf("make the workspace: %w", err)
	}
	for _, e := range workspace {
		if err := e.write(home); err != nil {
			return fmt.Errorf("make the workspace: %w", err)
		}
	}
	return i.giveAway(home)
}

func (e WorkspaceEntry) write(home string) error {
	if !filepath.IsLocal(e.Path) {
		return fmt.Errorf("%q is not below the home", e.Path)
	}
	path := filepath.Join(home, e.Path)
	if e.Dir {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		return os.Chmod(path, cmp.Or(e.Mode.Perm(), 0o755))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, e.Content, 0o600); err != nil {
		return err
	}
	return os.Chmod(path, cmp.Or(e.Mode.Perm(), 0o644))
}

// giveAway makes the sandbox's user the owner of a new home.
func (i isolation) giveAway(home string) error {
	u := i.user()
	if u == nil {
		return nil
	}
	return filepath.WalkDir(home, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, u.UID, u.GID)
	})
}

// config is what the daemon is told. Where nothing isolates, it is told where things really are.
func (i isolation) config(box string, r *record) daemon.Config {
	c := daemon.Config{
		ID: r.ID, Home: homeInside, WorkDir: workInside, Sessions: sessionsInside, Pipes: pipesInside,
		User: i.user(), Contained: i.contained(), Shell: shell(),
	}
	search, tmp := searchInside, "/tmp"
	if !i.contained() {
		c.Home, c.Alias, c.Sessions = filepath.Join(box, "home"), homeInside, filepath.Join(box, "sessions")
		c.Pipes = c.Sessions
		c.WorkDir = filepath.Join(c.Home, "workspace")
		search, tmp = filepath.Join(box, "bin")+":"+cmp.Or(os.Getenv("PATH"), searchInside), filepath.Join(box, "tmp")
	}
	env := map[string]string{
		"PATH": search, "HOME": c.Home, "USER": "daytona", "LOGNAME": "daytona", "LANG": "C.UTF-8", "HOSTNAME": hostname(r.ID), "TMPDIR": tmp,
	}
	for name, value := range r.Env {
		env[name] = value
	}
	for name, value := range map[string]string{
		"DAYTONA_SANDBOX_ID": r.ID, "DAYTONA_SANDBOX_SNAPSHOT": r.Snapshot, "DAYTONA_SANDBOX_USER": r.User,
		"DAYTONA_ORGANIZATION_ID": organizationID, "DAYTONA_REGION_ID": regionID,
	} {
		env[name] = value
	}
	for name, value := range env {
		c.Env = append(c.Env, name+"="+value)
	}
	slices.Sort(c.Env)
	return c
}

func shell() string {
	if _, err := os.Stat("/bin/bash"); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// Inherited files behind the daemon's own two; bubblewrap uses and closes them.
const (
	filterFD    = daemon.ConfigFD + 1
	argumentsFD = daemon.ConfigFD + 2
	infoFD      = daemon.ConfigFD + 3
)

// configFile is a configuration as an open file: it holds secrets.
func configFile(c daemon.Config) (*os.File, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("hand over a configuration: %w", err)
	}
	return memoryFile(b)
}

// memoryFile is an open file that is on no disk, to be inherited.
func memoryFile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("inherited", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inherited")
	_, err = f.Write(content)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return f, nil
}

// launched is a daemon that answers.
type launched struct {
	daemon identity
	child  int // our own child: bubblewrap, or the daemon itself
}

// launch starts a sandbox's daemon, detached, and waits until it answers.
func (i isolation) launch(ctx context.Context, r record, claude string) (launched, error) {
	socket, err := listenSocket(r.dir)
	if err != nil {
		return launched{}, err
	}
	defer socket.Close()
	config, err := configFile(i.config(r.dir, &r))
	if err != nil {
		return launched{}, err
	}
	defer config.Close()
	l, err := i.spawn(r, claude, socket, config)
	if err != nil {
		return launched{}, fmt.Errorf("start the daemon: %w", err)
	}
	socket.Close() // else a dead daemon's socket would still take our calls
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := answers(ctx, r.dir); err != nil {
		r.Daemon, r.Contained = l.daemon, i.contained()
		_ = r.end(context.WithoutCancel(ctx), true)
		reapChild(l.child)
		return launched{}, fmt.Errorf("the daemon does not answer: %w%s", err, lastWords(r.dir))
	}
	return l, nil
}

func (i isolation) spawn(r record, claude string, socket, config *os.File) (launched, error) {
	log, err := os.OpenFile(filepath.Join(r.dir, "daemon.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return launched{}, err
	}
	defer log.Close()
	info, theirs, err := os.Pipe()
	if err != nil {
		return launched{}, err
	}
	defer info.Close()
	defer theirs.Close()
	filter, err := filterFile()
	if err != nil {
		return launched{}, err
	}
	defer filter.Close()
	c, arguments, err := i.command(r, claude)
	if err != nil {
		return launched{}, err
	}
	defer arguments.Close() // nil is fine
	c.Stdout, c.Stderr, c.Dir = log, log, "/"
	c.ExtraFiles = []*os.File{socket, config, filter, cmp.Or(arguments, filter), theirs}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the server, and a Ctrl-C is not for it
	if err := c.Start(); err != nil {
		return launched{}, err
	}
	theirs.Close()
	child := c.Process.Pid
	_ = c.Process.Release() // waited for by reapChild
	pid := child
	if i.contained() {
		if pid, err = childOf(info); err != nil {
			_ = syscall.Kill(child, syscall.SIGKILL)
			return launched{}, fmt.Errorf("%w%s", err, lastWords(r.dir))
		}
	}
	id, err := identify(pid)
	if err != nil {
		return launched{}, fmt.Errorf("%w%s", err, lastWords(r.dir))
	}
	return launched{id, child}, nil
}

// command is bubblewrap with the daemon in it, and bubblewrap's arguments; or the daemon alone. Its environment holds
// no secret.
func (i isolation) command(r record, claude string) (*exec.Cmd, *os.File, error) {
	if i.contained() {
		return i.inBubblewrap(r.dir, r.ID, claude, modeDaemon, "--info-fd", fmt.Sprint(infoFD))
	}
	c := exec.Command(i.program, "sandbox", r.ID)
	c.Env = append([]string{modeVariable + "=" + modeDaemon}, daemon.Tuning...)
	return c, nil, linkClaude(r.dir, claude)
}

// linkClaude puts the binary on the PATH as `claude`, whatever its name and place.
func linkClaude(box, claude string) error {
	bin := filepath.Join(box, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	link := filepath.Join(bin, "claude")
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if claude == "" {
		return nil
	}
	return os.Symlink(claude, link)
}

// childOf reads the pid, as this machine sees it, of what bubblewrap started.
func childOf(info *os.File) (int, error) {
	var told struct {
		PID int `json:"child-pid"`
	}
	if err := json.NewDecoder(info).Decode(&told); err != nil {
		return 0, fmt.Errorf("bubblewrap did not start: %w", err)
	}
	return told.PID, nil
}

// answers waits for the daemon: its socket takes the call before it runs, and answers as soon as it does.
func answers(ctx context.Context, dir string) error {
	client := http.Client{Transport: socketTransport(dir)}
	defer client.CloseIdleConnections()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sandbox/version", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(q)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// lastWords are the end of the daemon's log, for an error.
func lastWords(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "daemon.log"))
	if err != nil || len(b) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(b[max(0, len(b)-2048):]))
}
