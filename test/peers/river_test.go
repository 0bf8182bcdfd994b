package peers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverWork is a job of River that does what ours do: a row of state, three batches of events, a result.
type riverWork struct {
	Prompt string `json:"prompt"`
}

func (riverWork) Kind() string { return "work" }

type riverWorker struct {
	river.WorkerDefaults[riverWork]
	pool *pgxpool.Pool
	done chan<- struct{}
}

const riverTables = `
	CREATE TABLE state (job_id BIGINT PRIMARY KEY, state TEXT NOT NULL, result BYTEA);
	CREATE TABLE events (position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job_id BIGINT NOT NULL, seq BIGINT NOT NULL,
		type TEXT NOT NULL, body BYTEA NOT NULL, UNIQUE (job_id, seq))`

// Work writes each batch in a transaction of its own, because each is shown to somebody as soon as it is there.
func (w *riverWorker) Work(ctx context.Context, j *river.Job[riverWork]) error {
	seq := 0
	for i, batch := range batches {
		err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			if i == 0 {
				if _, err := tx.Exec(ctx, `INSERT INTO state (job_id, state) VALUES ($1, 'running')`, j.ID); err != nil {
					return err
				}
			}
			var types []string
			var bodies [][]byte
			for _, body := range batch {
				types, bodies = append(types, "log"), append(bodies, []byte(body))
			}
			_, err := tx.Exec(ctx, `INSERT INTO events (job_id, seq, type, body)
				SELECT $1, $2 + e.n, e.type, e.body FROM unnest($3::text[], $4::bytea[]) WITH ORDINALITY AS e (type, body, n)`,
				j.ID, seq, types, bodies)
			if err == nil && i == len(batches)-1 {
				_, err = tx.Exec(ctx, `UPDATE state SET state = 'succeeded', result = $2 WHERE job_id = $1`, j.ID, answer)
			}
			return err
		})
		if err != nil {
			return err
		}
		seq += len(batch)
	}
	w.done <- struct{}{}
	return nil
}

// batches are the events of one job: eight in three steps.
var batches = [][]string{
	{"job running", "job started", "one more line"},
	{"noop executor: no sandbox is taken", "noop executor: no command is launched", "noop executor: the input comes back"},
	{"result", "done"},
}

var answer = bytes.Repeat([]byte("r"), 1024)

// BenchmarkRiver drains a queue of River with as many workers as ours have slots. As it comes, River asks for jobs ten
// times a second, and so never does more than ten times its workers; asking as soon as it may is the better measure.
func BenchmarkRiver(b *testing.B) {
	b.Run("fetch=100ms", func(b *testing.B) { riverAt(b, river.FetchCooldownDefault) })
	b.Run("fetch=1ms", func(b *testing.B) { riverAt(b, river.FetchCooldownMin) })
}

func riverAt(b *testing.B, cooldown time.Duration) {
	s := newServers(b)
	pool := s.pool(b)
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := migrator.Migrate(b.Context(), rivermigrate.DirectionUp, nil); err != nil {
		b.Fatal(err)
	}
	if _, err := pool.Exec(b.Context(), riverTables); err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{}, jobs)
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{pool: pool, done: done})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: slots}},
		Workers: workers,

		FetchCooldown:     cooldown,
		FetchPollInterval: max(cooldown, river.FetchPollIntervalMin),

		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	s.drain(b, func(ctx context.Context) error {
		var all []river.InsertManyParams
		for i := range jobs {
			all = append(all, river.InsertManyParams{Args: riverWork{Prompt: fmt.Sprint("prompt ", i)}})
		}
		_, err := client.InsertManyFast(ctx, all)
		return err
	}, func(ctx context.Context) (stop func(), err error) {
		if err := client.Start(ctx); err != nil {
			return nil, err
		}
		return func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := client.Stop(ctx); err != nil {
				b.Error(err)
			}
		}, nil
	}, done)
}
