-- +goose Up

-- A job that the API keeps refusing, whatever it answers to others, must not keep a lane closed: those that were refused
-- try a reopened lane last. An earlier program tries them by their priority.
ALTER TABLE jobs  ADD COLUMN refused_at  BIGINT NOT NULL DEFAULT 0; -- when the API refused it last; 0 = never, or it was answered since
ALTER TABLE lanes ADD COLUMN answered_at BIGINT NOT NULL DEFAULT 0; -- when the API last answered one of its probes
-- An earlier program has jobs_held for this.
CREATE INDEX jobs_tried ON jobs (model, refused_at, priority, due_at, number) WHERE state = 'queued' AND due_at > 0;
