package store

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"sandpiper/internal/job"
)

// A cursor is opaque to clients: a kind, which is its version too, and a number, in URL-safe base64.
const (
	eventsCursor = 'e' // a position in events
	jobsCursor   = 'j' // a job's number
)

// EncodeCursor makes the cursor of a position in the stream of events.
func EncodeCursor(position int64) string { return encodeCursor(eventsCursor, position) }

// DecodeCursor is the inverse of EncodeCursor. job.ErrBadCursor: it is not such a cursor.
func DecodeCursor(cursor string) (int64, error) { return decodeCursor(eventsCursor, cursor) }

func encodeCursor(kind byte, n int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.AppendUvarint([]byte{kind}, uint64(n)))
}

func decodeCursor(kind byte, cursor string) (int64, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err == nil && len(raw) > 1 && raw[0] == kind {
		n, size := binary.Uvarint(raw[1:])
		if size == len(raw)-1 && int64(n) >= 0 && encodeCursor(kind, int64(n)) == cursor {
			return int64(n), nil
		}
	}
	return 0, fmt.Errorf("%q: %w", cursor, job.ErrBadCursor)
}
