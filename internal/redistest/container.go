package redistest

import (
	"net"
	"strconv"
	"testing"

	"sandpiper/internal/containertest"
)

// vessel is a redis-server in a container.
type vessel struct {
	options containertest.Options
	it      containertest.Server // nil before its first start
	up      bool
}

func startContainer(t testing.TB, options ...string) *Server {
	t.Helper()
	return open(t, plain, options, func(addr string) body {
		_, number, _ := net.SplitHostPort(addr)
		at, _ := strconv.Atoi(number)
		v := &vessel{options: containertest.Options{
			Image: containertest.Redis, Port: 6379, At: at,
			Cmd: append([]string{
				"redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--dir", "/data", "--save", "", "--appendonly", "no",
			}, options...),
		}}
		t.Cleanup(func() {
			v.up = false // gone with its container
			if v.it != nil {
				done(t, "remove", v.it.Remove())
			}
		})
		return v
	})
}

func (v *vessel) begin(t testing.TB) {
	t.Helper()
	if v.it != nil {
		done(t, "start again", v.it.Again())
		v.up = true
		return
	}
	it, err := containertest.Start(v.options)
	if err != nil {
		t.Log(err) // somebody may have its port: another one is tried
		return
	}
	v.it, v.up = it, true
}

func (v *vessel) alive() bool { return v.it != nil && v.it.Running() }

func (v *vessel) kill() {
	if v.up {
		_ = v.it.Kill() // it may have ended
		v.up = false
	}
}

func (v *vessel) pause() error  { return v.it.Pause() }
func (v *vessel) resume() error { return v.it.Resume() }

func (v *vessel) log() string {
	if v.it == nil {
		return "it was never started"
	}
	return v.it.Log()
}
