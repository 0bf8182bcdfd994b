package boot

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sandpiper/internal/offline"
)

// helperVar tells a re-executed copy of this program which helper it is. See Helper.
const helperVar = "SANDPIPER_HELPER"

// modelProcess is the offline model: a process of its own, because a prompt that is being answered must outlive
// the up that started it, and be found again by the next one.
type modelProcess struct {
	file kept
	known
}

type known struct {
	process
	Addr string `json:"addr"`
}

// startModel finds the model process of this data directory or starts one, on the kept port.
func startModel(data, addr string, p ports) (*modelProcess, error) {
	m := &modelProcess{file: kept{filepath.Join(data, "model.json")}}
	if err := m.file.read(&m.known); err != nil {
		return nil, err
	}
	if m.alive() && (addr == "" || addr == m.Addr) {
		return m, nil
	}
	l, err := p.listen("model", addr)
	if err != nil {
		return nil, fmt.Errorf("open the offline model's port: %w", err)
	}
	defer l.Close()
	if err := m.spawn(data, l.(*net.TCPListener)); err != nil {
		return nil, fmt.Errorf("start the offline model: %w", err)
	}
	return m, nil
}

// spawn starts this program again as the model. It inherits the open port, so nobody else can take it in between.
func (m *modelProcess) spawn(data string, l *net.TCPListener) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	socket, err := l.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	logs, err := os.OpenFile(filepath.Join(data, "model.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logs.Close()
	cmd := exec.Command(self, "model")
	cmd.Env = []string{helperVar + "=model", "GOMAXPROCS=2"} // no key of ours: it needs none
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stdout, cmd.Stderr = logs, logs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C in our terminal is not for it
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait() //nolint:errcheck // reaps it, should it end before us
	who, err := identify(cmd.Process.Pid)
	if err != nil {
		return err
	}
	m.known = known{process: who, Addr: l.Addr().String()}
	return m.file.write(m.known)
}

// url is the base URL for ANTHROPIC_BASE_URL.
func (m *modelProcess) url() string { return "http://" + m.Addr }

// stop ends the process; nothing may be in flight.
func (m *modelProcess) stop() error {
	if err := m.end(2 * time.Second); err != nil {
		return err
	}
	return m.file.remove()
}

// stopModel ends the model process of a data directory, if there is one.
func stopModel(data string) (bool, error) {
	m := &modelProcess{file: kept{filepath.Join(data, "model.json")}}
	if err := m.file.read(&m.known); err != nil {
		return false, err
	}
	return m.alive(), m.stop()
}

// serveModel is the model process itself: it serves the inherited port until it is told to stop.
func serveModel(ctx context.Context) error {
	l, err := net.FileListener(os.NewFile(3, "model"))
	if err != nil {
		return fmt.Errorf("take the inherited port: %w", err)
	}
	return ServeModel(ctx, l)
}

// ServeModel serves the offline model on l until ctx ends.
func ServeModel(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: offline.New(offline.Options{}), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
