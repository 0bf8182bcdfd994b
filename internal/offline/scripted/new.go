package scripted

// TB is what New needs of a testing.TB. It is spelled out so that a program can import this package without the
// testing flags.
type TB interface {
	Helper()
	Cleanup(f func())
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// New opens a server that closes with the test. Any testing.TB fits.
func New(t TB) *Server {
	t.Helper()
	s, err := Open(Options{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return s
}
