-- +goose Up

-- A user's jobs that did not succeed, which are few among many. Only the end of such a job writes to it.
CREATE INDEX jobs_unwell ON jobs (tenant, user_id, state, number) WHERE state IN ('failed', 'cancelled', 'outcome_unknown');

-- A user's sandboxes that are there, which are few among those that once were.
CREATE INDEX sandboxes_live ON sandboxes (tenant, user_id, number) WHERE state <> 'gone';
DROP INDEX sandboxes_user;
