-- +goose Up

-- Where the jobs of one user that run at once are limited, each user has so many seats, and a job that runs has one of them: a
-- row each, so that claims of one user's jobs neither wait for each other nor meet in a deadlock. An earlier program takes none.
CREATE TABLE seats (
  user_id TEXT    NOT NULL,
  tenant  TEXT    NOT NULL,
  n       INTEGER NOT NULL, -- from 1
  job_id  TEXT    NOT NULL DEFAULT '', -- who has it; '' = nobody
  PRIMARY KEY (user_id, tenant, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX seats_taken ON seats (user_id, tenant) WHERE job_id <> '';

ALTER TABLE leases ADD COLUMN seat INTEGER NOT NULL DEFAULT 0; -- n of the job's; 0 = it has none
