-- +goose Up

-- Hints are few: most jobs that are due wait for theirs, and get it when it is their user's turn (jobs_wanted). Those that
-- have one are few (jobs_hinted). What is held back, as are the staged lines of a batch, is in neither: 253402300799000 is
-- when it is due. The user comes before the tenant, since the planner takes jobs_user for better otherwise, which has all of
-- a user's jobs. An earlier program finds the same by jobs_due, with more work.
CREATE INDEX jobs_wanted ON jobs (priority, user_id, tenant, run_after, number)
  WHERE state = 'queued' AND pushed_at = 0 AND run_after < 253402300799000;
CREATE INDEX jobs_hinted ON jobs (priority, user_id, tenant, pushed_at) WHERE state = 'queued' AND pushed_at > 0;
DROP INDEX jobs_overdue;
