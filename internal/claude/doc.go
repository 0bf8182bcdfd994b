// Package claude knows the claude command: how it is called, what it prints and what its ending means.
//
// Everything here is a pure function over bytes: no process, no network, no clock. Args, Env and Prompt make one
// launch; PreflightScript and ParsePreflight look at a sandbox before it; a Decoder reads the command's standard
// output while it grows; Judge says how the run ended and what that costs.
//
// Two things are easy to get wrong and decide everything:
//
//   - Neither the exit code nor the result's subtype says whether a run succeeded. An API failure arrives as
//     subtype "success" with is_error true; a whole answer can come with exit 1 (HOME on a full disk), and exit 0
//     with nothing at all (SIGINT, stdout on a full disk). Judge reads the last result first and the exit code last.
//   - What was paid decides what may be repeated. With --include-partial-messages the command prints a line
//     "status: requesting" before each request; a run that was killed without one has asked nothing.
//
// The facts were measured on the versions 2.1.330 (the pinned one), 2.1.197 and 1.0.83; testdata/fixtures holds
// the captures, and every one of them is a test case.
package claude
