-- migrate:up

-- Answers that may be given again to a question that means the same. Only what is equal in
-- everything but its text is compared, which is little, so there is no index of vectors: they may
-- have any length, and each says which model made it.
CREATE TABLE answers (
    tenant          text NOT NULL,
    key             text NOT NULL,
    owner           text NOT NULL,
    scope           text NOT NULL,
    embedding_model text NOT NULL,
    embedding       halfvec NOT NULL,
    body            bytea NOT NULL,
    stored_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX answers_newest ON answers (tenant, scope, embedding_model, stored_at DESC);
CREATE INDEX answers_owner ON answers (owner);
CREATE INDEX answers_expiry ON answers (expires_at);

-- Deletes what has expired, a little at a time; says how many.
CREATE FUNCTION forget_answers(p_now timestamptz, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    n int;
BEGIN
    DELETE FROM answers WHERE (tenant, key) IN (
        SELECT a.tenant, a.key FROM answers a WHERE a.expires_at <= p_now
        ORDER BY a.expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- migrate:down

DROP FUNCTION forget_answers;
DROP TABLE answers;
