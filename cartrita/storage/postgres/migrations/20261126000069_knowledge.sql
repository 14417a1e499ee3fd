-- migrate:up

-- What a user wants to look things up in. Everything is by tenant and user: two users of one
-- tenant see nothing of each other's.
CREATE TABLE knowledge_entries (
    tenant          text NOT NULL,
    user_id         text NOT NULL,
    id              uuid NOT NULL,
    title           text NOT NULL,
    content         text NOT NULL,
    content_type    text NOT NULL,
    category        text NOT NULL,
    subcategory     text,
    tags            text[] NOT NULL,
    importance      real NOT NULL,
    source_type     text NOT NULL,
    source_url      text,
    file_name       text,               -- with the next two: of what came as a file
    file_kind       text,
    file_size       bigint,
    digest          text NOT NULL,      -- SHA-256 of the content
    chunks          int NOT NULL,
    embedding_model text NOT NULL,
    embedding       halfvec NOT NULL,   -- the middle of its chunks'
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant, user_id, id)
);
CREATE INDEX knowledge_entries_digest ON knowledge_entries (tenant, user_id, digest);
CREATE INDEX knowledge_entries_recent ON knowledge_entries (tenant, user_id, updated_at);

-- Pieces of entries, each small enough for a model to read. There is no index of the vectors: a
-- search compares one user's, of which there are a bounded number, and finds the nearest surely.
CREATE TABLE knowledge_chunks (
    tenant          text NOT NULL,
    user_id         text NOT NULL,
    entry           uuid NOT NULL,
    place           int NOT NULL,
    start           int NOT NULL,       -- characters of the entry before it
    text            text NOT NULL,
    words           tsvector NOT NULL,  -- of the title, too
    embedding_model text NOT NULL,
    embedding       halfvec NOT NULL,
    PRIMARY KEY (tenant, user_id, entry, place),
    FOREIGN KEY (tenant, user_id, entry) REFERENCES knowledge_entries ON DELETE CASCADE
);

-- migrate:down

DROP TABLE knowledge_chunks;
DROP TABLE knowledge_entries;
