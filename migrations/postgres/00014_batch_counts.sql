-- +goose Up

-- To count the jobs of a large batch one by one takes seconds. Those that have ended, from its first job on without a gap, are
-- counted in its row, chunk by chunk (see store/batchcount.go). Of the others only those that have begun are looked at, by an index
-- of their own; the rest of what was accepted is queued. An earlier program counts one by one, as before.
ALTER TABLE batches ADD COLUMN counting     BOOLEAN NOT NULL DEFAULT FALSE; -- it is large, and not all of its jobs are counted here
ALTER TABLE batches ADD COLUMN counted_to   BIGINT  NOT NULL DEFAULT 0; -- number of the last one that is
ALTER TABLE batches ADD COLUMN counted_n    BIGINT  NOT NULL DEFAULT 0; -- how many are
ALTER TABLE batches ADD COLUMN counted      TEXT COLLATE "C" NOT NULL DEFAULT '{}'; -- JSON: how many of each state
ALTER TABLE batches ADD COLUMN counted_cost DOUBLE PRECISION NOT NULL DEFAULT 0; -- USD, of all of these
CREATE INDEX batches_counting ON batches (number) WHERE counting;
CREATE INDEX jobs_begun ON jobs (batch_id, number) WHERE batch_id <> '' AND state <> 'queued';
