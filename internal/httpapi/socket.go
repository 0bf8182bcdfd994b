package httpapi

import (
	"encoding/base64"
	"math"
	"net/http"
	"strings"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
)

// socket sends events over a WebSocket. Everything that can be refused is refused before the handshake, and the
// position is taken before it too: what a client submits after its socket opened, it sees from seq 1.
func (s *Server) socket(c echo.Context) error {
	scope, start, caller, err := s.subscription(c)
	if err != nil {
		return err
	}
	if !isHandshake(c.Request()) {
		c.Response().Header().Set("Upgrade", "websocket")
		c.Response().Header().Set("Connection", "Upgrade")
		return errUpgrade
	}
	leave, err := s.hold(c, caller)
	if err != nil {
		return err
	}
	defer leave()
	ctx, stop := s.untilDrain(c)
	defer stop(nil)
	stream, err := s.Relay.Open(ctx, caller, scope, start)
	if err != nil {
		return unlessExpired(ctx, err)
	}
	defer stream.Close()
	conn, err := websocket.Accept(c.Response(), c.Request(), &websocket.AcceptOptions{
		InsecureSkipVerify: true, // guard has checked Origin, by stricter rules
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil // it has answered
	}
	defer s.opened(overWebSocket)()
	(&feed{s: s, conn: conn, stream: stream, stop: stop}).run(ctx)
	return nil
}

// subscription reads which events are wanted, from where on, and who asks.
func (s *Server) subscription(c echo.Context) (store.Scope, relay.Start, auth.Caller, error) {
	q := queryOf(c)
	scope := store.Scope{JobID: q.id("jobId"), BatchID: q.id("batchId"), UserID: q.userID()}
	if scope.JobID != "" && scope.BatchID != "" {
		q.fail("batchId", "must not be given together with jobId")
	}
	start := relay.Live()
	var bad error
	switch given := q.values.Has("after"); {
	case given && scope.JobID != "":
		start = relay.AfterSeq(q.whole("after", 0, 0, math.MaxInt64))
	case given:
		position, err := store.DecodeCursor(q.values.Get("after"))
		start, bad = relay.AfterPosition(position), err
	}
	caller, err := q.caller(c)
	if err == nil {
		err = bad
	}
	return scope, start, caller, err
}

// isHandshake reports whether r opens a WebSocket (RFC 6455 §4.2.1).
func isHandshake(r *http.Request) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key")))
	return err == nil && len(key) == 16 && r.Header.Get("Sec-WebSocket-Version") == "13" &&
		hasToken(r.Header.Values("Connection"), "upgrade") && hasToken(r.Header.Values("Upgrade"), "websocket")
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
