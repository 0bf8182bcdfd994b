package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// batchAccepted is the answer to what makes a batch.
type batchAccepted struct {
	BatchID  string  `json:"batchId"`
	Accepted int64   `json:"accepted"`
	Rejected int64   `json:"rejected"`
	Errors   []fault `json:"errors,omitempty"` // of the lines that were left out, the first ones
}

// submitBatch takes many prompts: lines of JSON, which are never in memory together, or one JSON object with a list. It
// answers 202 once all of them are kept. Before that nothing is accepted, however the upload ends.
func (s *Server) submitBatch(c echo.Context) error {
	q := queryOf(c)
	u := &upload{s: s, skip: q.onError() == "skip"}
	u.intake = newIntake(u.note)
	next, caller, err := s.linesOf(c, q, u)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	if _, err := keyOf(c.Request().Header, caller, "", nil); err != nil { // before a million lines are read
		return err
	}
	if u.batch, err = s.Batches.OpenBatch(ctx, caller); err != nil {
		return err
	}
	kept, replayed, err := u.run(c, caller, next)
	if err != nil {
		if dropped := s.Batches.DropBatch(context.WithoutCancel(ctx), u.batch.ID); dropped != nil { // else its silence is noticed
			s.log.DebugContext(ctx, "upload not dropped", "batchId", u.batch.ID, "err", dropped)
		}
		return err
	}
	return acceptBatch(c, kept, replayed, u.faults)
}

func acceptBatch(c echo.Context, b job.Batch, replayed bool, faults []fault) error {
	if replayed {
		c.Response().Header().Set("Idempotent-Replayed", "true")
	}
	c.Response().Header().Set(echo.HeaderLocation, "/api/batches/"+b.ID)
	return c.JSON(http.StatusAccepted, batchAccepted{b.ID, b.Accepted, b.Rejected, faults})
}

// batchView is a batch as clients see it.
type batchView struct {
	BatchID         string              `json:"batchId"`
	UserID          string              `json:"userId"`
	State           string              `json:"state"` // "running" until all jobs have ended, then "ended"
	Accepted        int64               `json:"accepted"`
	Rejected        int64               `json:"rejected"`
	CancelRequested bool                `json:"cancelRequested"`
	Counts          map[job.State]int64 `json:"counts"`
	CostUSD         float64             `json:"costUsd"` // of what has a known price
	CreatedAt       any                 `json:"createdAt"`
}

func viewOfBatch(b job.Batch) batchView {
	state := "running"
	if b.Ended() {
		state = "ended"
	}
	return batchView{b.ID, b.UserID, state, b.Accepted, b.Rejected, b.CancelRequested, b.Counts, b.CostUSD, stamp(b.CreatedAt)}
}

// batch shows one batch.
func (s *Server) batch(c echo.Context) error {
	caller, id, err := s.asksForBatch(c, queryOf(c))
	if err != nil {
		return err
	}
	b, err := s.Reads.Batch(c.Request().Context(), caller, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, viewOfBatch(b))
}

// cancelBatch asks for the end of all its jobs. It ends soon, not at once.
func (s *Server) cancelBatch(c echo.Context) error {
	caller, id, err := s.actsOnBatch(c)
	if err != nil {
		return err
	}
	return s.once(c, caller, "cancel batch "+id, "", func() (any, error) {
		ctx := c.Request().Context()
		if err := s.Batches.CancelBatch(ctx, caller, id); err != nil {
			return nil, err
		}
		b, err := s.Reads.Batch(ctx, caller, id)
		return viewOfBatch(b), err
	})
}

// retryFailed makes a new batch of its failed jobs.
func (s *Server) retryFailed(c echo.Context) error {
	caller, id, err := s.actsOnBatch(c)
	if err != nil {
		return err
	}
	key, err := keyOf(c.Request().Header, caller, "retry-failed "+id, nil)
	if err != nil {
		return err
	}
	b, replayed, err := s.Batches.RetryFailed(c.Request().Context(), caller, id, key)
	if err != nil {
		return err
	}
	return acceptBatch(c, b, replayed, nil)
}

// actsOnBatch is asksForBatch, for requests whose body may say who asks.
func (s *Server) actsOnBatch(c echo.Context) (auth.Caller, string, error) {
	q := queryOf(c)
	if err := s.namedInBody(c, q); err != nil {
		return auth.Caller{}, "", err
	}
	return s.asksForBatch(c, q)
}

func (s *Server) asksForBatch(c echo.Context, q *query) (auth.Caller, string, error) {
	caller, err := q.caller(c)
	if err != nil {
		return caller, "", err
	}
	id := c.Param("id")
	if !isID(id) {
		return caller, "", job.ErrBatchNotFound
	}
	return caller, id, nil
}

// resultLine is one line of a batch's results, as of its job.
type resultLine struct {
	CustomID string           `json:"custom_id"`
	JobID    *string          `json:"jobId"` // null until the line is a job
	State    job.State        `json:"state"`
	Result   *resultView      `json:"result"`
	Error    *errorView       `json:"error"`
	Usage    []job.ModelUsage `json:"usage"`
	CostUSD  *float64         `json:"costUsd"`
}

// resultsTogether is how many results are read in one step.
const resultsTogether = 200

// results streams a line of JSON for every job of a batch, in the order of its lines, those that have not ended too.
func (s *Server) results(c echo.Context) error {
	caller, id, err := s.asksForBatch(c, queryOf(c))
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	jobs, next, more, err := s.Reads.BatchJobs(ctx, caller, id, store.ResultsAfter{}, resultsTogether)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentType, "application/jsonl")
	c.Response().WriteHeader(http.StatusOK)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	for {
		if err := s.writeResults(c, jobs); err != nil || !more {
			return nil // an error is the client's going
		}
		if jobs, next, more, err = s.Reads.BatchJobs(ctx, caller, id, next, resultsTogether); err != nil {
			s.log.DebugContext(ctx, "results cut", "requestId", requestID(c), "batchId", id, "err", err)
			panic(http.ErrAbortHandler) // the client must not take what it has for everything
		}
	}
}

func (s *Server) writeResults(c echo.Context, jobs []job.Job) error {
	var page []byte
	for _, j := range jobs {
		v := viewOf(j)
		var id *string
		if j.ID != "" {
			id = &j.ID
		}
		line, err := json.Marshal(resultLine{j.CustomID, id, j.State, v.Result, v.Error, v.Usage, v.CostUSD})
		if err != nil {
			return err
		}
		page = append(append(page, line...), '\n')
	}
	hurry := http.NewResponseController(c.Response())
	hurry.SetWriteDeadline(time.Now().Add(timeFor(s.o.WriteWait, len(page)))) // fails in tests without a connection
	if _, err := c.Response().Write(page); err != nil {
		return err
	}
	return hurry.Flush()
}
