-- +goose Up

-- A lane is the way of one key to one model. A row is made when something goes wrong in it for the first time. The key
-- itself is nowhere: key_id is its fingerprint.
CREATE TABLE lanes (
  id       TEXT    NOT NULL UNIQUE,
  key_id   TEXT    NOT NULL,
  model    TEXT    NOT NULL, -- as jobs ask for it
  state    TEXT    NOT NULL CHECK (state IN ('open', 'paused', 'probing', 'parked')),
  code     TEXT    NOT NULL DEFAULT '', -- of the failure that closed it
  reason   BLOB    NOT NULL DEFAULT x'',
  until_at INTEGER NOT NULL DEFAULT 0, -- paused: when it is tried again
  since_at INTEGER NOT NULL, -- when it came into its state
  strikes  INTEGER NOT NULL DEFAULT 0, -- probes that failed since it was open
  pause_ms INTEGER NOT NULL DEFAULT 0, -- how long its newest pause was to be
  allowed  INTEGER NOT NULL DEFAULT 0, -- probing: how many jobs may run at once
  taken    INTEGER NOT NULL DEFAULT 0, -- probing: how many do
  gen      INTEGER NOT NULL DEFAULT 0, -- counts its closings: tells its probes from those of the time before
  PRIMARY KEY (key_id, model)
) STRICT, WITHOUT ROWID;

-- The keys that workers have now, so that nobody waits for a lane when another key is open.
CREATE TABLE lane_keys (
  key_id  TEXT    PRIMARY KEY,
  seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A job that waits for a lane is not due (run_after is in the far future), so that whoever looks for due jobs, of this
-- version or the one before, does not even meet it. due_at keeps when it was due; 0 = it waits for no lane.
ALTER TABLE jobs ADD COLUMN model  TEXT    NOT NULL DEFAULT ''; -- '' = written by the version before, and never claimed since
ALTER TABLE jobs ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_held ON jobs (model, priority, due_at, number) WHERE state = 'queued' AND due_at > 0;

ALTER TABLE leases ADD COLUMN key_id   TEXT    NOT NULL DEFAULT ''; -- whose lane the job runs in
ALTER TABLE leases ADD COLUMN probe    INTEGER NOT NULL DEFAULT 0; -- the lane's gen, for a job that it was let through one by one; 0 = it was open
ALTER TABLE leases ADD COLUMN answered INTEGER NOT NULL DEFAULT 0 CHECK (answered IN (0, 1)); -- a probe that the model has answered
