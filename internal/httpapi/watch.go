package httpapi

// Watch hears what the streams of this server do; *telemetry.Metrics does.
type Watch interface {
	StreamOpened(kind string) (closed func())
	Streamed(kind string, events int)
}

// kinds of streams.
const (
	overWebSocket = "websocket"
	overSSE       = "sse"
)

// opened notes a stream until closed is called.
func (s *Server) opened(kind string) (closed func()) {
	if s.Watch == nil {
		return func() {}
	}
	return s.Watch.StreamOpened(kind)
}

// sent notes events that were written, and returns err: nil means that they were.
func (s *Server) sent(kind string, events int, err error) error {
	if err == nil && s.Watch != nil {
		s.Watch.Streamed(kind, events)
	}
	return err
}
