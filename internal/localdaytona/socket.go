package localdaytona

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// socketName is the daemon's socket in a sandbox's folder.
const socketName = "daemon.sock"

// A unix socket's path has at most 107 bytes (unix(7)), and a state directory may lie deep. So the folder is opened
// and the socket reached through the open folder, whose name in /proc is short.
func throughFolder(dir string, use func(path string) error) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	return use(filepath.Join(fmt.Sprintf("/proc/self/fd/%d", folder.Fd()), socketName))
}

// listenSocket makes the socket of a sandbox's folder anew and returns it as a file to be inherited.
func listenSocket(dir string) (f *os.File, err error) {
	err = throughFolder(dir, func(path string) error {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return err
		}
		defer l.Close()
		l.SetUnlinkOnClose(false)
		f, err = l.File()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the daemon's socket: %w", err)
	}
	return f, nil
}

// dialSocket connects to the daemon of a sandbox's folder.
func dialSocket(ctx context.Context, dir string) (conn net.Conn, err error) {
	err = throughFolder(dir, func(path string) error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "unix", path)
		return err
	})
	return conn, err
}
