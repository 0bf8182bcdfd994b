// Package mortal lets tests start programs that do not outlive them. Clean-up runs after a test that fails, and not after
// a panic, a timeout or a kill of the test binary: then it is the kernel that ends what was started.
package mortal

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts cmd, which is killed when this process has died. Whoever has waited for its end calls release, once: until
// then a thread is kept.
func Start(cmd *exec.Cmd) (release func(), err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	begun, over := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel means the death of the thread that started it
		err := cmd.Start()
		begun <- err
		if err == nil {
			<-over
		}
	}()
	if err := <-begun; err != nil {
		return nil, err
	}
	return func() { close(over) }, nil
}
