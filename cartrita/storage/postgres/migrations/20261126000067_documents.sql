-- migrate:up

-- Settings, personas, consents and the like: small, a user's own, read and written as a whole.
-- The only one of a kind has the number 0.
CREATE SEQUENCE user_documents_number;

CREATE TABLE user_documents (
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    kind       text NOT NULL,
    number     bigint NOT NULL,
    value      jsonb NOT NULL,
    made_at    timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, kind, number),
    CONSTRAINT user_documents_size CHECK (octet_length(value::text) <= 16384)
);
ALTER SEQUENCE user_documents_number OWNED BY user_documents.number;

-- migrate:down

DROP TABLE user_documents;
