package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"sandpiper/internal/job"
	"sandpiper/internal/queue/redisurl"
)

// Options are what a queue may be told.
type Options struct {
	TaskCheckInterval time.Duration // between two looks at empty queues; 0 means 1 ms: a look waits for the next push
	// Alone says that nobody else pushes to this Redis, as with an embedded one.
	Alone bool
	// Tell is called for each hint that was pushed, so that other processes hear of it (Hear); nil tells nobody. It must not
	// wait.
	Tell func()
	Log  *slog.Logger // asynq's own messages, at debug level; nil means slog.Default()
}

// Queue pushes hints to Redis and takes them from there.
type Queue struct {
	redis  *redis.UniversalOptions
	quick  redis.UniversalClient // of Push, Alive and Depths
	client *asynq.Client
	check  time.Duration
	doze   time.Duration // how long empty queues are not asked again while nobody tells of a push
	alone  bool
	tell   func()
	pushes pushes
	levels levels
	away   atomic.Bool // says a Lookout: hints are dropped at once, until Redis has answered a question of Depths
	log    *slog.Logger
}

// Open makes a queue on the Redis at url (see redisurl.Parse). It does not wait for Redis: that may be away now and
// at any later time.
func Open(url string, o Options) (*Queue, error) {
	opts, err := redisurl.Parse(url)
	if err != nil {
		return nil, fmt.Errorf("open the queue: the URL of Redis %w", err)
	}
	quick := redisurl.Quick(opts)
	doze := unsure
	if o.Alone {
		doze = sure
	}
	return &Queue{
		redis: opts, quick: quick, client: asynq.NewClientFromRedisClient(quick),
		check: cmp.Or(o.TaskCheckInterval, time.Millisecond), doze: doze, alone: o.Alone, tell: o.Tell,
		log: cmp.Or(o.Log, slog.Default()),
	}, nil
}

// Close ends the connections of Push, Alive and Depths. Consume has its own and ends with its context.
func (q *Queue) Close() error { return q.quick.Close() }

// kind is the type of every task; people see it in asynq's web page.
const kind = "job"

// ceiling is when asynq gives up waiting for a handler: later than any job can end.
const ceiling = job.MaxTimeout + time.Hour

// errAway is the fate of a hint while Redis is known to be away: nobody waits for what will not come.
var errAway = errors.New("redis is away")

// Push sends one hint. A hint that is there already is success. It takes at most redisurl.Patience; an error means
// that the hint is lost, or perhaps arrived: whoever sweeps overdue jobs pushes another.
func (q *Queue) Push(ctx context.Context, h job.Hint) error {
	ctx, stop := context.WithTimeout(ctx, redisurl.Patience)
	defer stop()
	defer q.pushed()
	if q.away.Load() {
		return fmt.Errorf("push a hint of %s: %w", h.JobID, errAway)
	}
	q.levels.pushed(h.Priority)
	_, err := q.client.EnqueueContext(ctx, asynq.NewTask(kind, []byte(h.JobID)),
		asynq.TaskID(h.JobID+":"+strconv.FormatInt(h.DispatchSeq, 10)),
		asynq.Queue(string(h.Priority)), asynq.Timeout(ceiling), asynq.MaxRetry(maxRetry))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("push a hint of %s: %w", h.JobID, err)
	}
	return nil
}

// pushed wakes who waits for a hint, here and elsewhere. It may not have arrived.
func (q *Queue) pushed() {
	q.pushes.add()
	if q.tell != nil {
		q.tell()
	}
}

// Hear has Consume look at once when news tells of a hint that another process has pushed, until ctx ends. Without it, or
// when news is lost, such a hint is found a little later.
func (q *Queue) Hear(ctx context.Context, news <-chan job.News) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-news:
			if n.Hinted || n == (job.News{}) { // or something was missed
				q.pushes.add()
			}
		}
	}
}

// Alive reports whether Redis answers within redisurl.Patience.
func (q *Queue) Alive(ctx context.Context) bool {
	ctx, stop := context.WithTimeout(ctx, redisurl.Patience)
	defer stop()
	return q.quick.Ping(ctx).Err() == nil
}

// Depth counts the hints that wait in Redis, of all priorities, as Depths does.
func (q *Queue) Depth(ctx context.Context) (n int, err error) {
	all, err := q.Depths(ctx)
	for _, each := range all {
		n += each
	}
	return n, err
}

// Depths counts the hints that wait in Redis, by priority, within redisurl.Patience. An error means that Redis is
// away, or takes no hints since its memory is full or it may only be read. The keys are asynq's own, and public: its
// exporters and autoscalers read the same.
//
// Depths also tells asynq's tools which queues there are. asynq does so once in the life of a process, and a Redis that
// was wiped meanwhile would show none.
func (q *Queue) Depths(ctx context.Context) (map[job.Priority]int, error) {
	ctx, stop := context.WithTimeout(ctx, redisurl.Patience)
	defer stop()
	counts := make([]*redis.IntCmd, len(job.Priorities))
	_, err := q.quick.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range job.Priorities {
			p.SAdd(ctx, "asynq:queues", string(name))
			counts[i] = p.LLen(ctx, pending(string(name)))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count waiting hints: %w", err)
	}
	q.away.Store(false)
	all := map[job.Priority]int{}
	for i, name := range job.Priorities {
		all[name] = int(counts[i].Val())
	}
	q.levels.found(time.Now(), all)
	return all, nil
}
