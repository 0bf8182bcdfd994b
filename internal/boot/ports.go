package boot

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ports remembers which port each embedded part was given, so that what is in flight in a sandbox finds it again
// after a restart.
type ports struct{ file kept }

// listen opens addr if it is set, else the port kept under name, else a free one on loopback, and keeps it.
func (p ports) listen(name, addr string) (net.Listener, error) {
	if addr != "" {
		return listen(addr)
	}
	known := map[string]int{}
	if err := p.file.read(&known); err != nil {
		return nil, err
	}
	if port := known[name]; port != 0 {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return l, nil
		} // Another program has it now: what is in flight cannot be helped, the rest can.
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	known[name] = l.Addr().(*net.TCPAddr).Port
	if err := p.file.write(known); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// listen opens addr and says in one line what to do when it is taken.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("address %s is in use by another program: stop it, or choose another address (port 0 picks a free one)", addr)
	}
	return l, err
}
