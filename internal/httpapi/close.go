package httpapi

import (
	"fmt"

	"github.com/coder/websocket"
)

// Close is why the server ends a WebSocket: a code, and what the client does next. 4000 to 4499 mean "come back",
// 4500 to 4999 "do not". Codes from 4000 are ours to give (RFC 6455 §7.4.2); a reason has at most 123 bytes (§5.5).
type Close struct {
	Code   websocket.StatusCode
	Reason string
}

// Error makes a Close the cause of a context's end.
func (c Close) Error() string { return fmt.Sprintf("close %d: %s", c.Code, c.Reason) }

// How the server ends a socket.
var (
	CloseDraining = Close{4001, "server restarts: reconnect with after=<last seq or cursor>"}
	CloseSlow     = Close{4008, "reading too slowly: reconnect with after=<last seq or cursor>"}
	CloseSilent   = Close{4009, "no answer to pings: reconnect with after=<last seq or cursor>"}
	CloseExpired  = Close{4010, "token expired: reconnect with a new one and after=<last seq or cursor>"}
	CloseTrouble  = Close{4011, "events cannot be read now: reconnect with after=<last seq or cursor>"}
)
