// Package relay brings events to those who watch: what was missed first, then what happens, each event once and in
// order.
//
// The truth is in SQL. A Stream is a position and a question: "what is there after it?" News only says that asking
// is worth while now, so nothing that happens to news can lose, repeat or reorder an event:
//
//   - News is lost (Redis restarts, a buffer is full): the Relay looks at the newest position in SQL once a second
//     and wakes every stream when it has moved. The event comes up to a second later.
//   - News is repeated, or comes out of order: the stream asks, finds nothing new, and waits again.
//   - News comes between the question and the waiting: a stream is registered before its first question, and a
//     wake-up is kept until the stream waits.
//   - A client returns with its last position: that is where its next stream starts.
//   - A client reads slowly: its stream is not asked, so nothing piles up. A wake-up is one flag, set without
//     waiting, so it holds up nobody else.
//
// A live stream takes its position when it is opened, before the client is told that it is connected: what the
// client submits afterwards it sees from seq 1.
package relay
