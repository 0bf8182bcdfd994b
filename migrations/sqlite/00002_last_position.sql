-- +goose Up

-- The position of a job's newest event. The embedded engine has one writer and does not need it; it is here because both
-- schemas have the same columns.
ALTER TABLE jobs ADD COLUMN last_position INTEGER NOT NULL DEFAULT 0;
