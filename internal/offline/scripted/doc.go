// Package scripted is a stand-in Messages API for tests: a real HTTP server on loopback that records every request
// byte for byte and answers by script, well or badly. The real CLI talks to it as it talks to the real API.
//
//	model := scripted.New(t)
//	model.Queue(scripted.Tool("Bash", map[string]any{"command": "echo hi"}), scripted.Text("done"))
//	… run something with ANTHROPIC_BASE_URL=model.URL() …
//	if got := model.Requests()[0].Prompt(); got != prompt { … }
//
// A request takes the next answer of the queue; when the queue is empty, the function given to Handle decides;
// without one the answer is the text "The answer is 4.". Everything may be called from many goroutines at once.
//
// It must never answer anything that was not asked of it by the test, and it never keeps a goroutine behind Close:
// a silent answer ends when the server closes.
package scripted
