-- migrate:up

-- Agents that run elsewhere and are called over HTTP. `definition` never holds the secret.
CREATE TABLE external_agents (
    name       text PRIMARY KEY,
    revision   uuid NOT NULL,
    definition jsonb NOT NULL,
    task_types text[] NOT NULL,
    secret     text,
    by         text NOT NULL,
    at         timestamptz NOT NULL,
    standing   text NOT NULL CHECK (standing IN ('starting', 'up', 'quarantined')),
    checked_at timestamptz,
    detail     text NOT NULL DEFAULT '',
    suspected  bigint NOT NULL DEFAULT 0
);

-- migrate:down

DROP TABLE external_agents;
