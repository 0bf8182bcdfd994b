-- The whole schema. How to read it:
--   * Whatever a person, the CLI or a sandbox wrote is a BLOB: text columns of other engines refuse U+0000.
--   * Times are Unix milliseconds of the database's own clock, 0 = not yet.
--   * '' means "none" in text columns, so that no reader has to think about NULL.
--   * tenant stands on every owned row.
--   * STRICT: a value of the wrong kind is refused instead of kept.

-- +goose Up

-- What is true for the whole installation: its id, the current snapshot.
CREATE TABLE settings (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A job is one prompt to run. Its input and its result stand apart (inputs, results), because this row is
-- rewritten at every step and they may have megabytes.
CREATE TABLE jobs (
  number           INTEGER PRIMARY KEY AUTOINCREMENT, -- order of submission
  id               TEXT    NOT NULL UNIQUE,
  tenant           TEXT    NOT NULL,
  user_id          TEXT    NOT NULL,
  state            TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'outcome_unknown')),
  priority         INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 2), -- 0 interactive, 1 default, 2 bulk
  attempt          INTEGER NOT NULL DEFAULT 0, -- the fencing token
  tries            INTEGER NOT NULL DEFAULT 0, -- launches charged against the retry limit
  moves            INTEGER NOT NULL DEFAULT 0, -- sandboxes that it gave up because they were broken
  last_seq         INTEGER NOT NULL DEFAULT 0, -- newest seq in events
  ended_by         INTEGER NOT NULL DEFAULT 0, -- the attempt that ended it; 0 = none did
  cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
  waiting_for      TEXT    NOT NULL DEFAULT '',
  spec             BLOB    NOT NULL, -- JSON of what was asked for, without the input
  sandbox_id       TEXT    NOT NULL DEFAULT '',
  sandbox_named    INTEGER NOT NULL DEFAULT 0 CHECK (sandbox_named IN (0, 1)), -- the caller named it
  conversation_id  TEXT    NOT NULL DEFAULT '',
  continues        INTEGER NOT NULL DEFAULT 0 CHECK (continues IN (0, 1)), -- it goes on with an earlier job's conversation
  session_id       TEXT    NOT NULL DEFAULT '', -- of the command: what the next job of the conversation resumes; '' = nothing was said
  batch_id         TEXT    NOT NULL DEFAULT '',
  custom_id        TEXT    NOT NULL DEFAULT '',
  retry_of         TEXT    NOT NULL DEFAULT '',
  dispatch_seq     INTEGER NOT NULL DEFAULT 1, -- of the newest hint
  pushed_at        INTEGER NOT NULL DEFAULT 0, -- when the newest hint was given out; 0 = one is wanted as soon as it is due
  run_after        INTEGER NOT NULL,
  created_at       INTEGER NOT NULL,
  started_at       INTEGER NOT NULL DEFAULT 0,
  ended_at         INTEGER NOT NULL DEFAULT 0,
  exit_code        INTEGER NOT NULL DEFAULT 0,
  failure_code     TEXT    NOT NULL DEFAULT '', -- '' = it did not fail
  failure_message  BLOB    NOT NULL DEFAULT x'',
  retryable        INTEGER NOT NULL DEFAULT 0 CHECK (retryable IN (0, 1)),
  usage            BLOB    NOT NULL DEFAULT x'', -- JSON: tokens per model
  cost_usd         REAL, -- NULL = a model without a known price
  price_version    TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX jobs_due     ON jobs (priority, run_after, number) WHERE state = 'queued';
CREATE INDEX jobs_overdue ON jobs (priority, pushed_at, run_after) WHERE state = 'queued';
CREATE INDEX jobs_waiting ON jobs (sandbox_id, priority, run_after, number) WHERE state = 'queued' AND sandbox_id <> '';
CREATE INDEX jobs_state   ON jobs (state, number);
CREATE INDEX jobs_user    ON jobs (tenant, user_id, number);
CREATE INDEX jobs_talk    ON jobs (conversation_id, number);
CREATE INDEX jobs_sandbox ON jobs (sandbox_id, number) WHERE sandbox_id <> '';
CREATE INDEX jobs_batch   ON jobs (batch_id, number) WHERE batch_id <> '';

CREATE TABLE inputs (
  job_id TEXT PRIMARY KEY REFERENCES jobs (id),
  input  BLOB NOT NULL
) STRICT;

CREATE TABLE results (
  job_id TEXT PRIMARY KEY REFERENCES jobs (id),
  format TEXT NOT NULL,
  text   BLOB NOT NULL,
  json   BLOB -- NULL = the output could not be parsed
) STRICT;

-- A lease says which worker holds a running job, and until when. It is narrow because every heartbeat rewrites it.
CREATE TABLE leases (
  job_id     TEXT    PRIMARY KEY REFERENCES jobs (id),
  attempt    INTEGER NOT NULL,
  worker     TEXT    NOT NULL,
  token      TEXT    NOT NULL, -- of the claim: asked again, it gets the same answer
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX leases_lapse ON leases (expires_at);

-- A run is one launch of the command in a sandbox.
CREATE TABLE runs (
  number      INTEGER PRIMARY KEY AUTOINCREMENT,
  id          TEXT    NOT NULL UNIQUE,
  job_id      TEXT    NOT NULL REFERENCES jobs (id),
  tenant      TEXT    NOT NULL,
  user_id     TEXT    NOT NULL,
  sandbox_id  TEXT    NOT NULL,
  attempt     INTEGER NOT NULL, -- that intended it
  phase       TEXT    NOT NULL CHECK (phase IN ('intended', 'launched', 'ended')),
  session_id  TEXT    NOT NULL DEFAULT '', -- of the command: its own for each run
  resume_id   TEXT    NOT NULL DEFAULT '', -- the session that it goes on with; '' = it begins a conversation
  read_offset INTEGER NOT NULL DEFAULT 0, -- bytes of its output that are stored as events
  usage       BLOB    NOT NULL DEFAULT x'', -- JSON: tokens per model, seen so far
  deadline_at INTEGER NOT NULL DEFAULT 0,
  intended_at INTEGER NOT NULL,
  launched_at INTEGER NOT NULL DEFAULT 0,
  ended_at    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX runs_job ON runs (job_id, number);
-- A prompt is never launched while an earlier launch of it may still be going.
CREATE UNIQUE INDEX runs_open ON runs (job_id) WHERE phase <> 'ended';

-- What happened to a job. position orders the streams of a user and a batch, seq that of a job.
CREATE TABLE events (
  position   INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id     TEXT    NOT NULL REFERENCES jobs (id),
  seq        INTEGER NOT NULL,
  tenant     TEXT    NOT NULL,
  user_id    TEXT    NOT NULL,
  batch_id   TEXT    NOT NULL DEFAULT '',
  sandbox_id TEXT    NOT NULL DEFAULT '',
  type       TEXT    NOT NULL,
  ts         INTEGER NOT NULL,
  body       BLOB    NOT NULL -- JSON of what depends on the type
) STRICT;

CREATE UNIQUE INDEX events_job ON events (job_id, seq);
CREATE INDEX events_user  ON events (tenant, user_id, position);
CREATE INDEX events_batch ON events (batch_id, position) WHERE batch_id <> '';

CREATE TABLE batches (
  number           INTEGER PRIMARY KEY AUTOINCREMENT,
  id               TEXT    NOT NULL UNIQUE,
  tenant           TEXT    NOT NULL,
  user_id          TEXT    NOT NULL,
  spec             BLOB    NOT NULL DEFAULT x'', -- JSON: the options that its jobs share
  metadata         BLOB    NOT NULL DEFAULT x'',
  accepted         INTEGER NOT NULL DEFAULT 0,
  rejected         INTEGER NOT NULL DEFAULT 0,
  complete         INTEGER NOT NULL DEFAULT 0 CHECK (complete IN (0, 1)), -- all its lines were read
  cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
  max_budget_usd   REAL,
  webhook_url      BLOB    NOT NULL DEFAULT x'',
  created_at       INTEGER NOT NULL
) STRICT;

CREATE INDEX batches_user ON batches (tenant, user_id, number);

-- A sandbox as SQL knows it. Its id is its name on the platform.
CREATE TABLE sandboxes (
  number       INTEGER PRIMARY KEY AUTOINCREMENT,
  id           TEXT    NOT NULL UNIQUE,
  tenant       TEXT    NOT NULL,
  user_id      TEXT    NOT NULL,
  platform_id  TEXT    NOT NULL DEFAULT '',
  endpoint     TEXT    NOT NULL DEFAULT '', -- which Daytona has it, when there are several
  state        TEXT    NOT NULL CHECK (state IN ('creating', 'ready', 'cleanup', 'gone')),
  snapshot     TEXT    NOT NULL DEFAULT '',
  fingerprint  TEXT    NOT NULL DEFAULT '',
  busy_job     TEXT    NOT NULL DEFAULT '', -- the one job that holds it
  pooled       INTEGER NOT NULL DEFAULT 1 CHECK (pooled IN (0, 1)),
  asked_for    INTEGER NOT NULL DEFAULT 0 CHECK (asked_for IN (0, 1)), -- by a caller, not by a job
  reason       BLOB    NOT NULL DEFAULT x'',
  create_worker TEXT   NOT NULL DEFAULT '', -- who is making it
  create_until INTEGER NOT NULL DEFAULT 0,
  created_at   INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX sandboxes_user ON sandboxes (tenant, user_id, number);
CREATE INDEX sandboxes_idle ON sandboxes (tenant, user_id, fingerprint, last_used_at)
  WHERE state = 'ready' AND busy_job = '' AND pooled = 1;
CREATE INDEX sandboxes_work ON sandboxes (state, number) WHERE state IN ('creating', 'cleanup');
-- A job holds at most one sandbox; that a sandbox is held by one job at a time follows from the column.
CREATE UNIQUE INDEX sandboxes_busy ON sandboxes (busy_job) WHERE busy_job <> '';

-- A turn of a background role is held by one process at a time.
CREATE TABLE turns (
  name       TEXT PRIMARY KEY,
  holder     TEXT    NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
  tenant      TEXT    NOT NULL,
  user_id     TEXT    NOT NULL,
  key         TEXT    NOT NULL,
  fingerprint BLOB    NOT NULL,
  job_id      TEXT    NOT NULL DEFAULT '',
  batch_id    TEXT    NOT NULL DEFAULT '',
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (tenant, user_id, key)
) STRICT, WITHOUT ROWID;

-- What was used, one row for each model of a run. Rows are only ever added. A cost that belongs to several models
-- at once stands in a row of its own, with model ''.
CREATE TABLE usage_entries (
  number             INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant             TEXT    NOT NULL,
  user_id            TEXT    NOT NULL,
  batch_id           TEXT    NOT NULL DEFAULT '',
  job_id             TEXT    NOT NULL REFERENCES jobs (id),
  run_id             TEXT    NOT NULL DEFAULT '',
  kind               TEXT    NOT NULL CHECK (kind IN ('reserved', 'used')),
  model              TEXT    NOT NULL,
  input_tokens       INTEGER NOT NULL DEFAULT 0,
  output_tokens      INTEGER NOT NULL DEFAULT 0,
  cache_read_tokens  INTEGER NOT NULL DEFAULT 0,
  cache_write_tokens INTEGER NOT NULL DEFAULT 0,
  cost_usd           REAL,
  price_version      TEXT    NOT NULL DEFAULT '',
  created_at         INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX usage_once ON usage_entries (job_id, run_id, kind, model);
CREATE INDEX usage_user ON usage_entries (tenant, user_id, created_at);
