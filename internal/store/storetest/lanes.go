package storetest

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var laneFacts = []fact{
	{"a closed lane lets nobody in, and its jobs wait once", laneCloses},
	{"other lanes go on while one is closed", otherLanesGoOn},
	{"a lane reopens for one, then for twice as many each time", laneReopens},
	{"a probe that is refused closes the lane again", probeFails},
	{"a probe that ends otherwise gives its place to another", probeEnds},
	{"a parked lane waits for a person", laneParks},
	{"a job waits for no lane when another key is open", anotherKey},
	{"of many claims at once a lane lets in as many as it allows", laneRush},
	{"a job that runs stays in its lane when it is taken over", laneTakenOver},
	{"a job that was refused tries a lane after all others, however urgent it is", refusedLast},
	{"a job that is refused while others are answered is told so", singledOut},
	{"the due jobs of a closed lane wait out of sight, a bounded number at a time", heldInBulk},
	{"a job that waits for its lane can be cancelled", cancelHeld},
}

// Key is the fingerprint of the key that the lanes' tests claim with.
const Key = "key-1"

var sonnet = job.LaneID{Key: Key, Model: "sonnet"}

// limited is what a run hears that is refused: with no luck the pause is over at once, so that no test waits.
var limited = job.Trouble{Code: job.APIRateLimited}

// inLane is a claim with Key.
func inLane(id string) store.Claim {
	q := ClaimOf(id)
	q.Key = Key
	return q
}

// closeLane lets a job run in the lane and be refused. It is running still.
func closeLane(t *testing.T, s *store.Store, tr job.Trouble) store.Claimed {
	t.Helper()
	showKey(t, s)
	c := claim(t, s, inLane(Queued(t, s).ID))
	strike(t, s, c, tr)
	return c
}

func showKey(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.ShowKey(t.Context(), Key); err != nil {
		t.Fatal(err)
	}
}

func strike(t *testing.T, s *store.Store, c store.Claimed, tr job.Trouble) job.Lane {
	t.Helper()
	l, err := s.LaneTrouble(t.Context(), c.Attempt, sonnet, tr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// hold submits n jobs and lets each be refused by the lane.
func hold(t *testing.T, s *store.Store, n int) (ids []string) {
	t.Helper()
	for range n {
		j := Queued(t, s)
		notClaimable(t, s, inLane(j.ID))
		ids = append(ids, j.ID)
	}
	return ids
}

func turn(t *testing.T, s *store.Store, want int) {
	t.Helper()
	if n, err := s.TurnLanes(t.Context(), 100); err != nil || n != want {
		t.Fatalf("%d jobs released, %v; want %d", n, err, want)
	}
}

func laneOf(t *testing.T, s *store.Store, id job.LaneID) job.LaneView {
	t.Helper()
	all, err := s.Lanes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.LaneID == id {
			return l
		}
	}
	t.Fatalf("no lane %+v in %+v", id, all)
	return job.LaneView{}
}

func inState(t *testing.T, s *store.Store, want job.LaneState, running, waiting, allowed int) {
	t.Helper()
	if l := laneOf(t, s, sonnet); l.State != want || l.Running != running || l.Waiting != waiting || l.Allowed != allowed {
		t.Errorf("lane %s, %d running, %d waiting, %d allowed; want %s, %d, %d, %d",
			l.State, l.Running, l.Waiting, l.Allowed, want, running, waiting, allowed)
	}
}

func laneCloses(t *testing.T, s *store.Store) {
	closeLane(t, s, job.Trouble{Code: job.APIRateLimited, Asked: time.Hour})
	j := Queued(t, s)
	for range 3 {
		notClaimable(t, s, inLane(j.ID))
	}
	const why = "model sonnet: the API has limited the rate of requests (429)"
	got := Read(t, s, j.ID)
	if got.State != job.Queued || got.Attempt != 0 || got.Tries != 0 || got.WaitingFor != why || !got.RunAfter.Equal(j.RunAfter) || got.LastSeq != 2 {
		t.Errorf("a held job: %+v", got)
	}
	if e := Events(t, s, j.ID)[1]; e.Type != job.EventState || e.State != job.Queued || e.Reason != "waiting for "+why {
		t.Errorf("event %+v", e)
	}
	due, err := Due(t.Context(), s, 10)
	overdue, err2 := Overdue(t.Context(), s, -time.Hour, 10)
	if len(due)+len(overdue) > 0 || err != nil || err2 != nil {
		t.Errorf("due %v, overdue %v, %v %v; want neither", due, overdue, err, err2)
	}
	turn(t, s, 0)
	inState(t, s, job.LanePaused, 1, 1, 0)
	if l := laneOf(t, s, sonnet); time.Until(l.Until) < 50*time.Minute || l.Code != job.APIRateLimited {
		t.Errorf("lane %+v, want an hour as the API asked", l)
	}
}

func otherLanesGoOn(t *testing.T, s *store.Store) {
	closeLane(t, s, job.Trouble{Code: job.APIOverloaded, Asked: time.Hour})
	hold(t, s, 3)
	haiku := Queued(t, s, func(j *job.Job) { j.Spec.Model = "haiku" })
	if due, err := Due(t.Context(), s, 1); err != nil || len(due) != 1 || due[0].JobID != haiku.ID {
		t.Errorf("due %v, %v; want %s before those that wait", due, err, haiku.ID)
	}
	claim(t, s, inLane(haiku.ID))
	q := inLane(Queued(t, s).ID)
	q.Key = "key-2"
	claim(t, s, q)
	claim(t, s, ClaimOf(Queued(t, s).ID)) // a worker without lanes
	if l := laneOf(t, s, job.LaneID{Key: "key-2", Model: "sonnet"}); l.State != job.LaneOpen || l.Running != 1 {
		t.Errorf("the other key's lane is %+v", l)
	}
}

func laneReopens(t *testing.T, s *store.Store) {
	closeLane(t, s, limited)
	left := hold(t, s, 7)
	probes := 0
	for _, want := range []int{1, 2, 4} {
		turn(t, s, want)
		for _, id := range left[:want] {
			c := claim(t, s, inLane(id))
			if !c.Probe || c.Job.WaitingFor != "" {
				t.Errorf("claimed %+v, want a probe that waits for nothing", c)
			}
			probes++
			for range 2 { // the second does not count
				if err := s.LaneAnswered(t.Context(), c.Attempt, sonnet); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
				t.Fatal(err)
			}
		}
		left = left[want:]
		if len(left) > 0 {
			inState(t, s, job.LaneProbing, 1, len(left), 1+probes) // the first one runs still
		}
	}
	turn(t, s, 0)
	inState(t, s, job.LaneOpen, 1, 0, 0) // nobody waits any more
	if c := claim(t, s, inLane(Queued(t, s).ID)); c.Probe {
		t.Error("a job of an open lane is a probe")
	}
}

func probeFails(t *testing.T, s *store.Store) {
	old := closeLane(t, s, limited)
	ids := hold(t, s, 2)
	turn(t, s, 1)
	probe := claim(t, s, inLane(ids[0]))
	notClaimable(t, s, inLane(ids[1])) // it waits still
	l := strike(t, s, probe, limited)
	if l.State != job.LanePaused || l.Strikes != 1 {
		t.Errorf("after a refused probe %+v", l)
	}
	for range 2 { // the reply was lost
		err := s.Requeue(t.Context(), probe.Attempt, probe.Job.LastSeq, store.Requeue{Reason: "API_RATE_LIMITED", Lane: sonnet})
		if err != nil {
			t.Fatal(err)
		}
	}
	j := Read(t, s, probe.Job.ID)
	if j.State != job.Queued || j.Tries != 0 || j.WaitingFor != l.WaitingFor() {
		t.Errorf("the job of the probe: %+v", j)
	}
	if all := Events(t, s, j.ID); !strings.Contains(all[len(all)-1].Reason, "API_RATE_LIMITED: waiting for model sonnet") {
		t.Errorf("its last event %+v", all[len(all)-1])
	}
	turn(t, s, 1)
	if due, err := Due(t.Context(), s, 2); err != nil || len(due) != 1 || due[0].JobID != ids[1] {
		t.Errorf("due %v, %v; want %s: another one is tried next", due, err, ids[1])
	}
	if l := strike(t, s, old, limited); l.Strikes != 1 || l.State != job.LanePaused {
		t.Errorf("after a refusal of a run from before %+v, want it paused without a strike", l)
	}
}

func probeEnds(t *testing.T, s *store.Store) {
	closeLane(t, s, limited)
	ids := hold(t, s, 3)
	turn(t, s, 1)
	c := claim(t, s, inLane(ids[0]))
	turn(t, s, 0)
	if err := s.Finish(t.Context(), c.Attempt, job.FailedWith(job.Failed, job.Failure{Code: job.ExecutionError}, 1), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	turn(t, s, 1)
	c = claim(t, s, inLane(ids[1]))
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{Reason: "its sandbox broke", Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if j := Read(t, s, ids[1]); j.WaitingFor != "" {
		t.Errorf("a job that waits for its time says that it waits for %q", j.WaitingFor)
	}
	turn(t, s, 1)
	claim(t, s, inLane(ids[2]))
	inState(t, s, job.LaneProbing, 2, 0, 1) // nobody was answered
}

func laneParks(t *testing.T, s *store.Store) {
	c := closeLane(t, s, job.Trouble{Code: job.APIAuth, Park: true})
	err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{Reason: "API_AUTH", Lane: sonnet})
	if err != nil {
		t.Fatal(err)
	}
	turn(t, s, 0)
	inState(t, s, job.LaneParked, 0, 1, 0)
	if j := Read(t, s, c.Job.ID); !strings.Contains(j.WaitingFor, "operator") {
		t.Errorf("it waits for %q, want it to name who must act", j.WaitingFor)
	}
	if _, err := s.ClearLane(t.Context(), "lane_none"); !errors.Is(err, job.ErrLaneNotFound) {
		t.Errorf("clear of a lane that is none: %v", err)
	}
	for range 2 {
		l, err := s.ClearLane(t.Context(), sonnet.Public())
		if err != nil || l.State != job.LaneProbing {
			t.Fatalf("cleared: %+v, %v", l, err)
		}
	}
	turn(t, s, 1)
	claim(t, s, inLane(c.Job.ID))
}

func anotherKey(t *testing.T, s *store.Store) {
	closeLane(t, s, job.Trouble{Code: job.APIAuth, Park: true})
	held := hold(t, s, 1)[0]
	if err := s.ShowKey(t.Context(), "key-2"); err != nil { // its worker came just now
		t.Fatal(err)
	}
	j := Queued(t, s)
	notClaimable(t, s, inLane(j.ID))
	if got := Read(t, s, j.ID); got.WaitingFor != "" || got.LastSeq != 1 {
		t.Errorf("a job that another key may take waits for %q", got.WaitingFor)
	}
	turn(t, s, 1)
	if got := Read(t, s, held); got.WaitingFor != "" {
		t.Errorf("a job that waits for nothing any more says %q", got.WaitingFor)
	}
	for _, id := range []string{held, j.ID} {
		q := inLane(id)
		q.Key = "key-2"
		claim(t, s, q)
	}
}

func laneRush(t *testing.T, s *store.Store) {
	closeLane(t, s, limited)
	ids := hold(t, s, 1)
	turn(t, s, 1)
	for range 20 {
		ids = append(ids, Queued(t, s).ID) // new ones want the same place
	}
	var in sync.Map
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			q := inLane(id)
			q.Worker = "worker of " + id
			switch c, err := s.Claim(t.Context(), q); {
			case err == nil:
				in.Store(c.Job.ID, true)
			case !errors.Is(err, job.ErrNotClaimable):
				t.Errorf("claim: %v", err)
			}
		})
	}
	all.Wait()
	n := 0
	in.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d of %d were let in, want one", n, len(ids))
	}
	inState(t, s, job.LaneProbing, 2, 20, 1)
}

func laneTakenOver(t *testing.T, s *store.Store) {
	closeLane(t, s, limited)
	id := hold(t, s, 1)[0]
	turn(t, s, 1)
	c := claim(t, s, inLane(id))
	Expire(t, s, c.Attempt)
	q := inLane(id)
	q.TakeOver, q.Key = true, "key-2"
	next := claim(t, s, q)
	if !next.Probe {
		t.Error("the probe is none any more")
	}
	inState(t, s, job.LaneProbing, 2, 0, 1)
	if err := s.LaneAnswered(t.Context(), next.Attempt, sonnet); err != nil {
		t.Fatal(err)
	}
	inState(t, s, job.LaneProbing, 2, 0, 2)
	strike(t, s, next, job.Trouble{Code: job.APIOverloaded, Asked: time.Hour})
	Expire(t, s, next.Attempt)
	q.Token = job.NewToken()
	claim(t, s, q) // what runs goes on, whatever its lane's state
}

func cancelHeld(t *testing.T, s *store.Store) {
	closeLane(t, s, job.Trouble{Code: job.APIOverloaded, Asked: time.Hour})
	id := hold(t, s, 1)[0]
	if _, err := s.Cancel(t.Context(), Ann, id); err != nil {
		t.Fatal(err)
	}
	if j := Read(t, s, id); j.State != job.Cancelled || j.WaitingFor != "" {
		t.Errorf("%s, waiting for %q", j.State, j.WaitingFor)
	}
	inState(t, s, job.LanePaused, 1, 0, 0)
}
