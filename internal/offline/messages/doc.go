// Package messages speaks the server's side of the Messages API: it reads a request and writes an answer, streamed
// or whole. The offline model and the scripted model of the tests share it, so that both look alike to the CLI.
//
// It holds no opinion on what to answer. It must never be lenient where the real API is strict about the order of
// stream events, because the CLI's own recovery from a broken stream is something that tests rely on.
//
// The shapes follow Anthropic's public API reference (Messages, Streaming, Errors) and what Claude Code 2.1.330
// sends and accepts.
package messages
