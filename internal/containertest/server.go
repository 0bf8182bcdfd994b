package containertest

// Options of Start.
type Options struct {
	Image string
	Port  int // in the container, TCP
	At    int // the port of loopback that stands for it, also after the server was killed and started again
	Env   map[string]string
	Cmd   []string
}

// Server is one container. It is ready when it answers, which the caller knows how to ask.
type Server interface {
	Kill() error   // as kill -9 does; what it had on disk stays
	Again() error  // starts one that was killed, on the same port
	Pause() error  // its port is open, and it says nothing
	Resume() error // undoes Pause
	Running() bool // one that is not has ended by itself, or was killed
	Log() string   // what it has said
	Remove() error // it, and what it has on disk
}
