-- +goose Up

-- The lines of an upload wait here, some hundred in one row, until the upload is complete; then they become jobs, row by row. A
-- line that is a job already would be put into every index of jobs twice, before and after it is due. An earlier program takes
-- batches with such lines for settled, and leaves them alone; what it staged itself, as jobs, is made due as before.
CREATE TABLE batch_lines (
  batch_id TEXT COLLATE "C" NOT NULL,
  first    BIGINT NOT NULL, -- how many lines of the batch come before
  n        BIGINT NOT NULL, -- how many these are
  lines    BYTEA  NOT NULL, -- see store/batchlines.go
  PRIMARY KEY (batch_id, first)
);
ALTER TABLE batch_lines ALTER COLUMN lines SET STORAGE EXTERNAL; -- they are soon gone: not worth the work of making them small

ALTER TABLE batches ADD COLUMN pending   BOOLEAN NOT NULL DEFAULT FALSE; -- it has such lines, or may yet get some
ALTER TABLE batches ADD COLUMN turned_at BIGINT  NOT NULL DEFAULT 0; -- when the newest of them became jobs
CREATE INDEX batches_pending ON batches (turned_at, number) WHERE pending;
