-- +goose Up

-- Where the sandboxes that exist at once are limited, a job that needs one more waits for a place: it is due in the far future
-- (run_after), so that whoever looks for due jobs, of this version or the one before, does not meet it, and place_due keeps when
-- it was due. When it is called it is due again, and the place is kept for it.
ALTER TABLE jobs ADD COLUMN wants_place INTEGER NOT NULL DEFAULT 0; -- 0 = none; 1 = one of its user's; 2 = one of all; 3 = it was called
ALTER TABLE jobs ADD COLUMN place_due INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_placeless ON jobs (user_id, tenant, priority, place_due, number)
  WHERE state = 'queued' AND wants_place > 0 AND wants_place < 3;
CREATE INDEX jobs_crowded ON jobs (wants_place, priority, user_id, tenant) WHERE state = 'queued' AND wants_place > 1;
