-- +goose Up

-- The lines of an upload wait here, some hundred in one row, until the upload is complete; then they become jobs, row by row. A
-- line that is a job already would be put into every index of jobs twice, before and after it is due. An earlier program takes
-- batches with such lines for settled, and leaves them alone; what it staged itself, as jobs, is made due as before.
CREATE TABLE batch_lines (
  batch_id TEXT    NOT NULL,
  first    INTEGER NOT NULL, -- how many lines of the batch come before
  n        INTEGER NOT NULL, -- how many these are
  lines    BLOB    NOT NULL, -- see store/batchlines.go
  PRIMARY KEY (batch_id, first)
) STRICT;

ALTER TABLE batches ADD COLUMN pending   INTEGER NOT NULL DEFAULT 0; -- it has such lines, or may yet get some
ALTER TABLE batches ADD COLUMN turned_at INTEGER NOT NULL DEFAULT 0; -- when the newest of them became jobs
CREATE INDEX batches_pending ON batches (turned_at, number) WHERE pending;
