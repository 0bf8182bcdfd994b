// Package offline is the offline model: a stand-in Messages API for a machine without an API key, so that the whole
// way of a job can be seen, the real claude command included, without an account and without a cent.
//
// Its answers say that they are not Claude's, in their first words. It must never pretend: it does not imitate an
// answer that it cannot have, it invents no facts, and it calls no tools. What it can do is little and plain: count
// what is in the prompt, show how it begins, do sums that a pocket calculator does, and find "my name is" in the
// conversation. It listens where it is told, which is loopback; it keeps nothing, writes nothing and asks nobody.
//
// Token counts are estimates, a quarter of the bytes; they cost nothing.
package offline
