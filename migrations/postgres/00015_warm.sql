-- +goose Up

-- A warm sandbox is one that belongs to nobody yet: its user_id is ''. When a sandbox became a user's, for a job that somebody waits
-- for, is kept: as many as were taken at once lately are kept warm. An earlier program takes none, and counts for nothing.
ALTER TABLE sandboxes ADD COLUMN taken_at BIGINT NOT NULL DEFAULT 0; -- 0 = somebody asked for it, or a bulk job took it, or nobody did
CREATE INDEX sandboxes_taken ON sandboxes (taken_at) WHERE taken_at > 0;
CREATE INDEX sandboxes_warm ON sandboxes (fingerprint, state) WHERE user_id = '' AND state <> 'gone';
