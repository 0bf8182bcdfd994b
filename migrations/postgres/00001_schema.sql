-- The whole schema, as the embedded engine's has it. How to read it:
--   * Whatever a person, the CLI or a sandbox wrote is BYTEA: text columns refuse U+0000.
--   * Times are Unix milliseconds of the database's own clock, 0 = not yet.
--   * '' means "none" in text columns, so that no reader has to think about NULL.
--   * tenant stands on every owned row.
--   * Text compares by bytes (collation "C"), as in the embedded engine: it is ids and words, in no language.
--   * No foreign keys: a row of a job is only ever written in a transaction that holds the job's row, and each check
--     is a look-up of its own, eight of them for the events of the shortest job.
--   * Rows that are rewritten often leave room in their page, so that no index has to hear of it (HOT updates).

-- +goose Up

-- What is true for the whole installation: its id, the current snapshot.
CREATE TABLE settings (
  name  TEXT COLLATE "C" PRIMARY KEY,
  value TEXT COLLATE "C" NOT NULL
);

-- A job is one prompt to run. Its input and its result stand apart (inputs, results), because this row is
-- rewritten at every step and they may have megabytes.
CREATE TABLE jobs (
  number           BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of submission
  id               TEXT COLLATE "C" NOT NULL UNIQUE,
  tenant           TEXT COLLATE "C" NOT NULL,
  user_id          TEXT COLLATE "C" NOT NULL,
  state            TEXT COLLATE "C" NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'outcome_unknown')),
  priority         BIGINT  NOT NULL CHECK (priority BETWEEN 0 AND 2), -- 0 interactive, 1 default, 2 bulk
  attempt          BIGINT  NOT NULL DEFAULT 0, -- the fencing token
  tries            BIGINT  NOT NULL DEFAULT 0, -- launches charged against the retry limit
  moves            BIGINT  NOT NULL DEFAULT 0, -- sandboxes that it gave up because they were broken
  last_seq         BIGINT  NOT NULL DEFAULT 0, -- newest seq in events
  ended_by         BIGINT  NOT NULL DEFAULT 0, -- the attempt that ended it; 0 = none did
  cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
  waiting_for      TEXT COLLATE "C" NOT NULL DEFAULT '',
  spec             BYTEA   NOT NULL, -- JSON of what was asked for, without the input
  sandbox_id       TEXT COLLATE "C" NOT NULL DEFAULT '',
  sandbox_named    BOOLEAN NOT NULL DEFAULT FALSE, -- the caller named it
  conversation_id  TEXT COLLATE "C" NOT NULL DEFAULT '',
  continues        BOOLEAN NOT NULL DEFAULT FALSE, -- it goes on with an earlier job's conversation
  session_id       TEXT COLLATE "C" NOT NULL DEFAULT '', -- of the command: what the next job of the conversation resumes; '' = nothing was said
  batch_id         TEXT COLLATE "C" NOT NULL DEFAULT '',
  custom_id        TEXT COLLATE "C" NOT NULL DEFAULT '',
  retry_of         TEXT COLLATE "C" NOT NULL DEFAULT '',
  dispatch_seq     BIGINT  NOT NULL DEFAULT 1, -- of the newest hint
  pushed_at        BIGINT  NOT NULL DEFAULT 0, -- when the newest hint was given out; 0 = one is wanted as soon as it is due
  run_after        BIGINT  NOT NULL,
  created_at       BIGINT  NOT NULL,
  started_at       BIGINT  NOT NULL DEFAULT 0,
  ended_at         BIGINT  NOT NULL DEFAULT 0,
  exit_code        BIGINT  NOT NULL DEFAULT 0,
  failure_code     TEXT COLLATE "C" NOT NULL DEFAULT '', -- '' = it did not fail
  failure_message  BYTEA   NOT NULL DEFAULT '',
  retryable        BOOLEAN NOT NULL DEFAULT FALSE,
  usage            BYTEA   NOT NULL DEFAULT '', -- JSON: tokens per model
  cost_usd         DOUBLE PRECISION, -- NULL = a model without a known price
  price_version    TEXT COLLATE "C" NOT NULL DEFAULT ''
) WITH (fillfactor = 70);

CREATE INDEX jobs_due     ON jobs (priority, run_after, number) WHERE state = 'queued';
CREATE INDEX jobs_overdue ON jobs (priority, pushed_at, run_after) WHERE state = 'queued';
CREATE INDEX jobs_waiting ON jobs (sandbox_id, priority, run_after, number) WHERE state = 'queued' AND sandbox_id <> '';
CREATE INDEX jobs_state   ON jobs (state, number);
CREATE INDEX jobs_user    ON jobs (tenant, user_id, number);
CREATE INDEX jobs_talk    ON jobs (conversation_id, number);
CREATE INDEX jobs_sandbox ON jobs (sandbox_id, number) WHERE sandbox_id <> '';
CREATE INDEX jobs_batch   ON jobs (batch_id, number) WHERE batch_id <> '';

CREATE TABLE inputs (
  job_id TEXT COLLATE "C" PRIMARY KEY,
  input  BYTEA NOT NULL
);

CREATE TABLE results (
  job_id TEXT COLLATE "C" PRIMARY KEY,
  format TEXT COLLATE "C" NOT NULL,
  text   BYTEA NOT NULL,
  json   BYTEA -- NULL = the output could not be parsed
);

-- A lease says which worker holds a running job, and until when. It is narrow because every heartbeat rewrites it.
CREATE TABLE leases (
  job_id     TEXT COLLATE "C" PRIMARY KEY,
  attempt    BIGINT  NOT NULL,
  worker     TEXT COLLATE "C" NOT NULL,
  token      TEXT COLLATE "C" NOT NULL, -- of the claim: asked again, it gets the same answer
  expires_at BIGINT  NOT NULL
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- A run is one launch of the command in a sandbox.
CREATE TABLE runs (
  number      BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id          TEXT COLLATE "C" NOT NULL UNIQUE,
  job_id      TEXT COLLATE "C" NOT NULL,
  tenant      TEXT COLLATE "C" NOT NULL,
  user_id     TEXT COLLATE "C" NOT NULL,
  sandbox_id  TEXT COLLATE "C" NOT NULL,
  attempt     BIGINT  NOT NULL, -- that intended it
  phase       TEXT COLLATE "C" NOT NULL CHECK (phase IN ('intended', 'launched', 'ended')),
  session_id  TEXT COLLATE "C" NOT NULL DEFAULT '', -- of the command: its own for each run
  resume_id   TEXT COLLATE "C" NOT NULL DEFAULT '', -- the session that it goes on with; '' = it begins a conversation
  read_offset BIGINT  NOT NULL DEFAULT 0, -- bytes of its output that are stored as events
  usage       BYTEA   NOT NULL DEFAULT '', -- JSON: tokens per model, seen so far
  deadline_at BIGINT  NOT NULL DEFAULT 0,
  intended_at BIGINT  NOT NULL,
  launched_at BIGINT  NOT NULL DEFAULT 0,
  ended_at    BIGINT  NOT NULL DEFAULT 0
) WITH (fillfactor = 80);

CREATE INDEX runs_job ON runs (job_id, number);
-- A prompt is never launched while an earlier launch of it may still be going.
CREATE UNIQUE INDEX runs_open ON runs (job_id) WHERE phase <> 'ended';

-- What happened to a job. position orders the streams of a user and a batch, seq that of a job.
CREATE TABLE events (
  position   BIGINT  PRIMARY KEY,
  job_id     TEXT COLLATE "C" NOT NULL,
  seq        BIGINT  NOT NULL,
  tenant     TEXT COLLATE "C" NOT NULL,
  user_id    TEXT COLLATE "C" NOT NULL,
  batch_id   TEXT COLLATE "C" NOT NULL DEFAULT '',
  sandbox_id TEXT COLLATE "C" NOT NULL DEFAULT '',
  type       TEXT COLLATE "C" NOT NULL,
  ts         BIGINT  NOT NULL,
  body       BYTEA   NOT NULL -- JSON of what depends on the type
);

CREATE UNIQUE INDEX events_job ON events (job_id, seq);
CREATE INDEX events_user  ON events (tenant, user_id, position);
CREATE INDEX events_batch ON events (batch_id, position) WHERE batch_id <> '';

CREATE TABLE batches (
  number           BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id               TEXT COLLATE "C" NOT NULL UNIQUE,
  tenant           TEXT COLLATE "C" NOT NULL,
  user_id          TEXT COLLATE "C" NOT NULL,
  spec             BYTEA   NOT NULL DEFAULT '', -- JSON: the options that its jobs share
  metadata         BYTEA   NOT NULL DEFAULT '',
  accepted         BIGINT  NOT NULL DEFAULT 0,
  rejected         BIGINT  NOT NULL DEFAULT 0,
  complete         BOOLEAN NOT NULL DEFAULT FALSE, -- all its lines were read
  cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
  max_budget_usd   DOUBLE PRECISION,
  webhook_url      BYTEA   NOT NULL DEFAULT '',
  created_at       BIGINT  NOT NULL
);

CREATE INDEX batches_user ON batches (tenant, user_id, number);

-- A sandbox as SQL knows it. Its id is its name on the platform.
CREATE TABLE sandboxes (
  number       BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id           TEXT COLLATE "C" NOT NULL UNIQUE,
  tenant       TEXT COLLATE "C" NOT NULL,
  user_id      TEXT COLLATE "C" NOT NULL,
  platform_id  TEXT COLLATE "C" NOT NULL DEFAULT '',
  endpoint     TEXT COLLATE "C" NOT NULL DEFAULT '', -- which Daytona has it, when there are several
  state        TEXT COLLATE "C" NOT NULL CHECK (state IN ('creating', 'ready', 'cleanup', 'gone')),
  snapshot     TEXT COLLATE "C" NOT NULL DEFAULT '',
  fingerprint  TEXT COLLATE "C" NOT NULL DEFAULT '',
  busy_job     TEXT COLLATE "C" NOT NULL DEFAULT '', -- the one job that holds it
  pooled       BOOLEAN NOT NULL DEFAULT TRUE,
  asked_for    BOOLEAN NOT NULL DEFAULT FALSE, -- by a caller, not by a job
  reason       BYTEA   NOT NULL DEFAULT '',
  create_worker TEXT COLLATE "C" NOT NULL DEFAULT '', -- who is making it
  create_until BIGINT  NOT NULL DEFAULT 0,
  created_at   BIGINT  NOT NULL,
  last_used_at BIGINT  NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE INDEX sandboxes_user ON sandboxes (tenant, user_id, number);
CREATE INDEX sandboxes_idle ON sandboxes (tenant, user_id, fingerprint, last_used_at)
  WHERE state = 'ready' AND busy_job = '' AND pooled;
CREATE INDEX sandboxes_work ON sandboxes (state, number) WHERE state IN ('creating', 'cleanup');
-- A job holds at most one sandbox; that a sandbox is held by one job at a time follows from the column.
CREATE UNIQUE INDEX sandboxes_busy ON sandboxes (busy_job) WHERE busy_job <> '';

-- A turn of a background role is held by one process at a time.
CREATE TABLE turns (
  name       TEXT COLLATE "C" PRIMARY KEY,
  holder     TEXT COLLATE "C" NOT NULL,
  expires_at BIGINT  NOT NULL
);

CREATE TABLE idempotency (
  tenant      TEXT COLLATE "C" NOT NULL,
  user_id     TEXT COLLATE "C" NOT NULL,
  key         TEXT COLLATE "C" NOT NULL,
  fingerprint BYTEA   NOT NULL,
  job_id      TEXT COLLATE "C" NOT NULL DEFAULT '',
  batch_id    TEXT COLLATE "C" NOT NULL DEFAULT '',
  created_at  BIGINT  NOT NULL,
  PRIMARY KEY (tenant, user_id, key)
);

-- What was used, one row for each model of a run. Rows are only ever added. A cost that belongs to several models
-- at once stands in a row of its own, with model ''.
CREATE TABLE usage_entries (
  number             BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant             TEXT COLLATE "C" NOT NULL,
  user_id            TEXT COLLATE "C" NOT NULL,
  batch_id           TEXT COLLATE "C" NOT NULL DEFAULT '',
  job_id             TEXT COLLATE "C" NOT NULL,
  run_id             TEXT COLLATE "C" NOT NULL DEFAULT '',
  kind               TEXT COLLATE "C" NOT NULL CHECK (kind IN ('reserved', 'used')),
  model              TEXT COLLATE "C" NOT NULL,
  input_tokens       BIGINT  NOT NULL DEFAULT 0,
  output_tokens      BIGINT  NOT NULL DEFAULT 0,
  cache_read_tokens  BIGINT  NOT NULL DEFAULT 0,
  cache_write_tokens BIGINT  NOT NULL DEFAULT 0,
  cost_usd           DOUBLE PRECISION,
  price_version      TEXT COLLATE "C" NOT NULL DEFAULT '',
  created_at         BIGINT  NOT NULL
);

CREATE UNIQUE INDEX usage_once ON usage_entries (job_id, run_id, kind, model);
CREATE INDEX usage_user ON usage_entries (tenant, user_id, created_at);
