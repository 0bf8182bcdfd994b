-- +goose Up

-- A job under which workers or sandboxes keep dying is given up. An earlier program counts nothing, and ends none.
ALTER TABLE jobs ADD COLUMN deaths BIGINT NOT NULL DEFAULT 0; -- under it, since a byte of its run was read
ALTER TABLE jobs ADD COLUMN quiet_since BIGINT NOT NULL DEFAULT 0; -- when it was claimed; 0 = a byte was read since then
