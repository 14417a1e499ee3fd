-- migrate:up

-- Keys of providers. Their values are in `vault_versions`, sealed with AES-256-GCM for their owner,
-- key and number: a row that is moved to another place does not open there.
CREATE TABLE vault_keys (
    id            uuid PRIMARY KEY,
    owner         uuid REFERENCES users ON DELETE CASCADE,  -- null: the instance's own
    provider      text NOT NULL,
    name          text NOT NULL,
    category      text NOT NULL,
    visibility    text NOT NULL,
    scopes        text[] NOT NULL,
    tags          text[] NOT NULL,
    metadata      text NOT NULL,                            -- JSON, as text: jsonb knows no U+0000
    active        boolean NOT NULL,
    expires_at    timestamptz,
    rotate_days   int,
    rotate_policy text NOT NULL,
    version       int NOT NULL,
    rotated_at    timestamptz NOT NULL,
    used          bigint NOT NULL DEFAULT 0,
    last_used_at  timestamptz,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    deleted_at    timestamptz
);
CREATE UNIQUE INDEX vault_keys_name
    ON vault_keys ((coalesce(owner, '00000000-0000-0000-0000-000000000000')), provider, name)
    WHERE deleted_at IS NULL;
CREATE INDEX vault_keys_deleted ON vault_keys (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE vault_versions (
    key      uuid NOT NULL REFERENCES vault_keys ON DELETE CASCADE,
    number   int NOT NULL,
    master   text NOT NULL,                                 -- which master key sealed it
    nonce    bytea NOT NULL CHECK (octet_length(nonce) = 12),
    box      bytea NOT NULL CHECK (octet_length(box) > 16),
    checksum text NOT NULL,
    at       timestamptz NOT NULL,
    reason   text NOT NULL,
    PRIMARY KEY (key, number)
);

CREATE TABLE vault_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    kind        text NOT NULL,
    description text NOT NULL,
    severity    text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    metadata    text NOT NULL,
    at          timestamptz NOT NULL
);
CREATE INDEX vault_events_owner ON vault_events (owner, id DESC);
CREATE INDEX vault_events_age ON vault_events (at);

CREATE TABLE vault_preferences (
    owner  uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    chosen text NOT NULL
);

-- Each shows one key once. Only digests are stored.
CREATE TABLE vault_reveals (
    digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    owner      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    key        uuid NOT NULL REFERENCES vault_keys ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX vault_reveals_owner ON vault_reveals (owner);

CREATE FUNCTION forget_vault(p_before timestamptz, p_limit int) RETURNS int LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM vault_keys WHERE id IN (
            SELECT id FROM vault_keys WHERE deleted_at < p_before ORDER BY deleted_at LIMIT p_limit)
        RETURNING 1)
    SELECT count(*)::int FROM gone
$$;

-- migrate:down

DROP FUNCTION forget_vault;
DROP TABLE vault_reveals, vault_preferences, vault_events, vault_versions, vault_keys;
