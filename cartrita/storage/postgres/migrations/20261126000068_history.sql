-- migrate:up

-- What was said stays in its owner's history when a summary takes its place in the memory.
ALTER TABLE conversation_turns ADD COLUMN folded boolean NOT NULL DEFAULT false;
CREATE INDEX conversation_turns_history ON conversation_turns (tenant, user_id, number);

-- Files that are handed in for half an hour, under a token; the bytes are blobs of the owner's.
CREATE TABLE uploads (
    id         uuid PRIMARY KEY,
    owner      text NOT NULL,
    blob       text NOT NULL,
    name       text NOT NULL,
    kind       text NOT NULL,
    size       bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX uploads_owner ON uploads (owner, created_at);
CREATE INDEX uploads_expiry ON uploads (expires_at);

-- migrate:down

DROP TABLE uploads;
DROP INDEX conversation_turns_history;
DELETE FROM conversation_turns WHERE folded;
ALTER TABLE conversation_turns DROP COLUMN folded;
