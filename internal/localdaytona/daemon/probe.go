package daemon

import (
	"context"
	"fmt"
	"os"
)

// probing is what a command of a sandbox must be able to do, and the code by which it says that it was.
const (
	probing = `test "$(id -u)" != 0 && test -r /proc/self/status && : >"$HOME/probe" && rm "$HOME/probe" && exit 7`
	proved  = 7
)

// Probe tries, inside a would-be sandbox, everything that a daemon needs there.
func Probe() error {
	f := os.NewFile(ConfigFD, "configuration")
	c, err := readConfig(f)
	if err != nil {
		return err
	}
	f.Close()
	if pid := os.Getpid(); pid != 1 {
		return fmt.Errorf("the daemon's pid is %d, want 1", pid)
	}
	if err := settle(c); err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	r := newReaper(c.User)
	go r.Run(context.Background()) // the process ends with this function
	p, err := r.start([]string{c.Shell, "-c", probing}, c.WorkDir, c.Env, [3]*os.File{null, null, null})
	if err != nil {
		return fmt.Errorf("start a shell: %w", err)
	}
	<-p.done
	if code := p.exitCode(); code != proved {
		return fmt.Errorf("a shell in the sandbox ended with %d, want %d", code, proved)
	}
	return nil
}
