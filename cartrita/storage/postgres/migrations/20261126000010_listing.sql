-- migrate:up

-- Lists of tasks go by when they were accepted: ids may be the clients' own.
ALTER TABLE tasks ADD session_id text;
CREATE INDEX tasks_by_user ON tasks (user_id, accepted_at DESC, id DESC);
CREATE INDEX tasks_by_time ON tasks (accepted_at DESC, id DESC);
CREATE INDEX tasks_by_session ON tasks (session_id, accepted_at DESC, id DESC)
    WHERE session_id IS NOT NULL;
DROP INDEX tasks_of_user;

-- migrate:down

CREATE INDEX tasks_of_user ON tasks (user_id, id DESC);
DROP INDEX tasks_by_session;
DROP INDEX tasks_by_time;
DROP INDEX tasks_by_user;
ALTER TABLE tasks DROP session_id;
