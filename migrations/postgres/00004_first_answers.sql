-- +goose Up

-- A key may have made a sandbox, and what was answered to it first is answered again. An earlier program takes such a key
-- for one that came with another body, and refuses it.
ALTER TABLE idempotency ADD COLUMN sandbox_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE idempotency ADD COLUMN status BIGINT NOT NULL DEFAULT 0; -- of the first answer; 0 = it follows from the job
ALTER TABLE idempotency ADD COLUMN answer BYTEA NOT NULL DEFAULT '';

-- Old keys are forgotten, the oldest first.
CREATE INDEX idempotency_age ON idempotency (created_at);
