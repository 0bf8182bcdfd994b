-- +goose Up

-- When the events of an ended job, all but its last, were deleted for their age; 0 = they are there.
ALTER TABLE jobs ADD COLUMN pruned_at BIGINT NOT NULL DEFAULT 0;

-- No column that changes while a job runs is in it.
CREATE INDEX jobs_kept ON jobs (ended_at) WHERE ended_at > 0 AND pruned_at = 0;
