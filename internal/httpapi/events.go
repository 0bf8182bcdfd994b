package httpapi

import (
	"math"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

const maxEvents = 1000 // a page of events holds at most so many

// events shows what happened to a job: a page of it, or all of it as a stream.
func (s *Server) events(c echo.Context) error {
	q := queryOf(c)
	after := q.whole("after", 0, 0, math.MaxInt64)
	limit := int(q.whole("limit", 200, 1, maxEvents))
	streams := wantsStream(c.Request())
	if last := c.Request().Header.Get("Last-Event-ID"); streams && last != "" {
		q.values.Set("Last-Event-ID", last) // what an EventSource saw last counts more than its address
		after = q.whole("Last-Event-ID", 0, 0, math.MaxInt64)
	}
	caller, id, err := s.asksFor(c, q)
	if err != nil {
		return err
	}
	if streams {
		return s.streamEvents(c, caller, id, after)
	}
	return s.pageOfEvents(c, caller, id, after, limit)
}

// pageOfEvents answers with events after a seq: at most limit, and no more after store.MaxRead bytes. It asks for one
// event more than it shows, to know whether there is a next page.
func (s *Server) pageOfEvents(c echo.Context, caller auth.Caller, id string, after int64, limit int) error {
	events, err := s.Reads.Events(c.Request().Context(), caller, id, after, limit+1)
	if err != nil {
		return err
	}
	more := len(events) > limit || store.Cut(events)
	events = events[:min(len(events), limit)]
	var next any
	if more {
		next = events[len(events)-1].Seq
	}
	return c.JSON(http.StatusOK, eventsPage{pageOf(events, func(e job.Event) job.Event { return e }, next), goneOf(events, after)})
}

// eventsPage is a page of events. Gone is there when some that were asked for are not.
type eventsPage struct {
	page[job.Event]
	Gone int64 `json:"gone,omitempty"` // events up to this seq were deleted for their age
}

// goneOf is the newest event after a seq that was deleted, 0 for none. Numbers have no gaps, and the last event of a job
// stays: so whatever is missing before the first of a page was deleted.
func goneOf(events []job.Event, after int64) int64 {
	if len(events) == 0 || events[0].Seq == after+1 {
		return 0
	}
	return events[0].Seq - 1
}

// wantsStream reports whether a client asks for server-sent events.
func wantsStream(r *http.Request) bool {
	for _, accept := range r.Header.Values(echo.HeaderAccept) {
		for media := range strings.SplitSeq(accept, ",") {
			media, _, _ = strings.Cut(media, ";")
			if strings.EqualFold(strings.TrimSpace(media), "text/event-stream") {
				return true
			}
		}
	}
	return false
}
