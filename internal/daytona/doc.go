// Package daytona is a small client of the public Daytona REST API: sandboxes on the control plane, and inside a
// sandbox its sessions, one-shot commands and files (the "toolbox", reached through a proxy).
//
// It is shaped like the official SDK, so that it can be swapped for it in this one room. It knows nothing of jobs
// and keeps nothing: the truth about a sandbox is what the platform answers.
//
// What it promises:
//   - A sandbox is never made twice. Create is sent once; when its answer is lost, the sandbox is looked up by its
//     name, which therefore has to be unique.
//   - GET and DELETE are repeated on connection errors, 429, 502, 503 and 504. Nothing else is: a command that is
//     sent again would run again.
//   - Every refusal is one *Error, whatever shape the body had, and answers errors.Is with the sentinels.
//   - The key is in one header only. It is taken out of every error text, also when a server repeats it.
//
// Two traps for callers. The proxy answers 401, not 404, for a sandbox that does not exist: ask Get before
// believing it. And a command that ends a session's shell (exit, exec) makes a synchronous Exec wait for ever on
// older platforms: run such text in a child process and give Exec a context with a deadline.
package daytona
