package store

import (
	"time"

	"sandpiper/internal/job"
)

// JobFilter narrows Jobs. Zero values narrow nothing.
type JobFilter struct {
	State   job.State
	BatchID string
	UserID  string // for operators; another user's id gives a user an empty list
	Limit   int    // 0 means 50
	Cursor  string // what Jobs returned as next; "" starts with the newest
}

// Scope says whose events a stream holds. The fields narrow together; all empty means everything that the caller
// may see.
type Scope struct {
	JobID, UserID, BatchID string
}

// Claim asks for a job.
type Claim struct {
	JobID  string
	Worker string
	Token  string        // made by the worker, one for each claim: asking again with it gives the same answer
	Lease  time.Duration // how long the claim holds without a Beat
	// Key is the fingerprint of the key that the job would run with. While the lane of the key and the job's model is closed,
	// the job is not claimable, and waits. "" asks no lane.
	Key      string
	PerUser  int        // how many jobs of one user may run at once; 0 means any number. A job beyond it is not claimable, and waits
	Limits   job.Limits // of sandboxes. A job that needs one beyond them is not claimable, and waits for a place
	reserved bool       // the row of Fresh is there, kept for this claim
	given    string     // a warm sandbox that its user was given for this claim
	TakeOver bool       // true: a running job whose lease lapsed; false: a queued job that is due
	// Fresh describes the sandbox to add when the job has none and no idle one of its user, and no warm one, has the same
	// fingerprint: ID, Snapshot and Fingerprint. The rest is filled in.
	Fresh job.Sandbox
}

// How a user comes to a sandbox.
const (
	TakenWarm = "warm" // it was ready, and belonged to nobody
	TakenNew  = "new"  // it is to be made
)

// Claimed is a job that was given to a worker, and what is known about it.
type Claimed struct {
	Job     job.Job
	Attempt job.Attempt
	Sandbox job.Sandbox
	Taken   string    // how its user came to the sandbox by this claim: TakenWarm, TakenNew, or "", it was theirs before
	Probe   bool      // its lane lets jobs through one by one: say when the model has answered (LaneAnswered)
	Singled bool      // the API has refused it before and answered others since: what it is refused now says nothing of its lane
	Resume  string    // the session that a continuing job goes on with
	Run     *job.Run  // the newest run of the job, perhaps of an earlier attempt; nil without one
	Spent   job.Spend // what runs that are over had used: none, but where the job is tried again after it was paid

	// Poisoned: too many have died under the job. Its run, which has not ended, is to be stopped, not to be gone on with.
	Poisoned bool
}

// Beat says what a worker must know about the jobs that it holds.
type Beat struct {
	Lost   []string // ids of jobs that another attempt owns, or that have ended: leave them alone
	Cancel []string // ids of jobs that somebody asked to cancel
}

// Batch is what was read from a run since the last Append.
type Batch struct {
	AfterSeq int64            // the job's newest seq, as the writer knows it
	RunID    string           // "" adds events only
	From, To int64            // bytes of the run's output that the events stand for
	Usage    []job.ModelUsage // tokens seen so far, whole; nil keeps what is stored
	Events   []job.Event
}

// Requeue sends a running job back to the queue. The run that it had, if any, is over.
type Requeue struct {
	RunAfter   time.Time     // not before; zero means now
	Delay      time.Duration // not before so long from now, on the database's clock; preferred to RunAfter
	ChargeTry  bool          // whether this uses one of the job's tries
	Reason     string        // shown in the state event
	Spent      job.Spend     // what the run used, as its end was judged; empty keeps what was seen of it
	Lane       job.LaneID    // whose fault it is that it goes back: it waits until the lane is open; zero = no lane's
	Refused    bool          // by the API, for a while: where its lane is closed, others try it first
	NewSandbox bool          // give the sandbox up: it will be deleted, the next claim takes another, and Job.Moves counts it

	SandboxDied bool // under the job: whether that happens too often in a row ends the job as poisoned
}
