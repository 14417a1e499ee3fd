-- migrate:up

-- Where graphs of agents stand after each step, so that another attempt goes on from there. A
-- thread is one task (the first of those that try the same work), and is deleted with its end.
CREATE TABLE checkpoints (
    thread     text NOT NULL,
    space      text NOT NULL,
    id         text NOT NULL,          -- sorts by time
    parent     text,
    kind       text NOT NULL,
    data       bytea NOT NULL,
    notes_kind text NOT NULL,
    notes      bytea NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (thread, space, id)
);
CREATE INDEX checkpoints_age ON checkpoints (made_at);

-- What steps did on top of a checkpoint while others of the same round were still at work.
CREATE TABLE checkpoint_writes (
    thread  text NOT NULL,
    space   text NOT NULL,
    id      text NOT NULL,
    task    text NOT NULL,
    place   int NOT NULL,
    channel text NOT NULL,
    kind    text NOT NULL,
    data    bytea NOT NULL,
    path    text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (thread, space, id, task, place)
);
CREATE INDEX checkpoint_writes_age ON checkpoint_writes (made_at);

-- What a user said in a session and was answered; each task has said one thing and answered one.
CREATE TABLE conversation_turns (
    tenant  text NOT NULL,
    user_id text NOT NULL,
    session text NOT NULL,
    task    text NOT NULL,
    role    text NOT NULL CHECK (role IN ('user', 'assistant')),
    number  bigint GENERATED ALWAYS AS IDENTITY,
    content text NOT NULL,
    said_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, user_id, session, task, role)
);

-- What stands in the place of turns that were too many.
CREATE TABLE conversation_summaries (
    tenant  text NOT NULL,
    user_id text NOT NULL,
    session text NOT NULL,
    summary text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, user_id, session)
);

-- migrate:down

DROP TABLE conversation_summaries;
DROP TABLE conversation_turns;
DROP TABLE checkpoint_writes;
DROP TABLE checkpoints;
