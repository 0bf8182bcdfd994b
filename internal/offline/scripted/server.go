package scripted

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"sandpiper/internal/offline/messages"
)

// Options of Open.
type Options struct {
	Addr string // where to listen; "" means 127.0.0.1:0
}

// Server is the stand-in model.
type Server struct {
	addr   string
	closed chan struct{}
	busy   sync.WaitGroup // the server loop and every request

	mu       sync.Mutex
	stop     func() error // closes the listener and its connections; nil while it refuses
	queue    []Answer
	handle   func(Request) Answer
	requests []Request
	visits   []string
	more     chan struct{} // closed and replaced at each request
}

// Open listens and serves until Close. A test uses New.
func Open(o Options) (*Server, error) {
	s := &Server{closed: make(chan struct{}), more: make(chan struct{})}
	ln, err := net.Listen("tcp", cmp.Or(o.Addr, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("open the scripted model: %w", err)
	}
	s.addr = ln.Addr().String()
	s.serve(ln)
	return s, nil
}

// serve starts the loop of one listener; Refuse and Close end it and Close waits for it.
func (s *Server) serve(ln net.Listener) {
	srv := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.mu.Lock()
	s.stop = func() error {
		_ = ln.Close() // srv.Close misses a listener that Serve has not seen yet; a second close is an error
		return srv.Close()
	}
	s.mu.Unlock()
	s.busy.Go(func() { _ = srv.Serve(ln) }) // it ends because stop was called
}

// URL is the base address, for ANTHROPIC_BASE_URL. A path behind it is allowed.
func (s *Server) URL() string { return "http://" + s.addr }

// Close ends every request and waits until nothing of the server is left.
func (s *Server) Close() error {
	s.mu.Lock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	s.mu.Unlock()
	err := s.Refuse()
	s.busy.Wait()
	return err
}

// Refuse closes the listener and every connection: from now on a connection is refused, until Accept.
func (s *Server) Refuse() error {
	s.mu.Lock()
	stop := s.stop
	s.stop = nil
	s.mu.Unlock()
	if stop == nil {
		return nil
	}
	if err := stop(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the scripted model: %w", err)
	}
	return nil
}

// Accept listens again, at the same address, after Refuse.
func (s *Server) Accept() error {
	ln, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("open the scripted model again: %w", err)
	}
	s.serve(ln)
	return nil
}

// Queue adds answers, to be given in this order, one a request.
func (s *Server) Queue(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, answers...)
}

// Handle decides every answer that the queue does not hold. It is called concurrently.
func (s *Server) Handle(answer func(Request) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = answer
}

// Requests are all POSTs to …/v1/messages so far, in the order of arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Visits are all requests of any kind so far, as "METHOD path".
func (s *Server) Visits() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.visits)
}

// Forget empties the record and the queue, not the function of Handle.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.visits, s.queue = nil, nil, nil
}

// Wait returns once n requests have arrived, or with ctx's error.
func (s *Server) Wait(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		have, more := len(s.requests), s.more
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("wait for request %d of the scripted model, have %d: %w", n, have, ctx.Err())
		}
	}
}

// ServeHTTP records the request and plays its answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.busy.Done()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller broke off in mid-request; it was never asked
	}
	s.visit(r)
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/v1/messages/count_tokens"):
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"input_tokens":%d}`, len(body)/4)
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/v1/messages"):
		s.messages(w, r, body)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		w.WriteHeader(http.StatusOK)
	default:
		http.NotFound(w, r)
	}
}

// enter counts a request, so that Close waits for it; false once the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return false
	default:
		s.busy.Add(1)
		return true
	}
}

func (s *Server) visit(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits = append(s.visits, r.Method+" "+r.URL.Path)
}

func (s *Server) messages(w http.ResponseWriter, r *http.Request, body []byte) {
	asked, err := messages.Parse(body)
	if err != nil {
		asked = messages.Request{} // recorded all the same: what was sent is what the test asks about
	}
	req, answer := s.record(Request{
		At: time.Now(), Path: r.URL.Path, Header: r.Header.Clone(), Body: body, Asked: asked,
	})
	p := &player{w: w, r: r, closed: s.closed}
	p.play(req, answer)
}

// record keeps the request and finds its answer in one step, so that the order of both is the same.
func (s *Server) record(req Request) (Request, Answer) {
	s.mu.Lock()
	req.Seq = len(s.requests) + 1
	s.requests = append(s.requests, req)
	close(s.more)
	s.more = make(chan struct{})
	var answer Answer
	handle := s.handle
	if len(s.queue) > 0 {
		answer, s.queue, handle = s.queue[0], s.queue[1:], nil
	}
	s.mu.Unlock()
	if handle != nil {
		answer = handle(req)
	}
	return req, answer
}
