-- migrate:up

CREATE EXTENSION IF NOT EXISTS vector;

-- Texts found again by meaning. Half precision halves the index and finds the same
-- neighbours; every row says which model made its vector, because vectors of different
-- models must never be compared.
CREATE TABLE memories (
    tenant          text NOT NULL,
    id              uuid NOT NULL,
    session         text,
    text            text NOT NULL,
    metadata        jsonb NOT NULL,
    embedding_model text NOT NULL,
    embedding       halfvec(384) NOT NULL,
    stored_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX memories_session ON memories (tenant, session);
CREATE INDEX memories_embedding ON memories
    USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64);

-- migrate:down

DROP TABLE memories;
