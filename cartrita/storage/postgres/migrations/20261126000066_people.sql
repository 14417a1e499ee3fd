-- migrate:up

-- v2 knows accounts by numbers. Those of its own accounts are kept when they are taken over, at
-- any time, so numbers made here begin where v2's never get.
CREATE SEQUENCE users_number START 1000000001;

ALTER TABLE users
    ADD COLUMN v2_id bigint NOT NULL UNIQUE DEFAULT nextval('users_number'),
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
UPDATE users SET updated_at = created_at;
ALTER SEQUENCE users_number OWNED BY users.v2_id;

-- v2's clients sign in by name, too: the oldest account of a name is meant.
CREATE INDEX users_name ON users (lower(name), created_at);

-- migrate:down

DROP INDEX users_name;
ALTER TABLE users DROP COLUMN v2_id, DROP COLUMN updated_at;
