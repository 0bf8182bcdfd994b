-- +goose Up

-- What is still to be done for a batch is done chunk by chunk: its jobs are made due, or cancelled, or, when its upload broke
-- off, deleted. An earlier program has no batches, and leaves these alone.
ALTER TABLE batches ADD COLUMN settled    BOOLEAN NOT NULL DEFAULT FALSE; -- nothing is left to do
ALTER TABLE batches ADD COLUMN worked_to  BIGINT  NOT NULL DEFAULT 0; -- number of the last job for which it was done
ALTER TABLE batches ADD COLUMN touched_at BIGINT  NOT NULL DEFAULT 0; -- when its newest lines came
CREATE INDEX batches_unsettled ON batches (number) WHERE NOT settled;
