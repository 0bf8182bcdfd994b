-- +goose Up

-- The position of a job's newest event. Transactions of several processes can get their positions in another order than
-- that in which they get hold of the job; a write that would put an event before its predecessor sees it here.
ALTER TABLE jobs ADD COLUMN last_position BIGINT NOT NULL DEFAULT 0;
