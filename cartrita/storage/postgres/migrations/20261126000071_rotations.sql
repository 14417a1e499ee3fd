-- migrate:up

-- How often keys are to be changed, and which changes were planned. Who changes them is a person:
-- no provider lets us.
CREATE TABLE vault_policies (
    id            uuid PRIMARY KEY,
    owner         uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    provider      text NOT NULL,
    name          text NOT NULL,
    interval_days int NOT NULL,
    grace_days    int NOT NULL,
    auto          boolean NOT NULL,
    enabled       boolean NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    UNIQUE (owner, provider, name)
);

CREATE TABLE vault_rotations (
    id           uuid PRIMARY KEY,
    owner        uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    key          uuid NOT NULL REFERENCES vault_keys ON DELETE CASCADE,
    reason       text NOT NULL,
    scheduled_at timestamptz NOT NULL,
    completed_at timestamptz
);
CREATE INDEX vault_rotations_owner ON vault_rotations (owner, id DESC);

-- migrate:down

DROP TABLE vault_rotations, vault_policies;
