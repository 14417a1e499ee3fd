-- migrate:up

-- What people are asked before a task changes the outside world. An id follows from the work,
-- the tool and the call, so every attempt at the same work finds the same row.
CREATE TABLE approvals (
    id         uuid PRIMARY KEY,
    task_id    uuid NOT NULL,
    task_type  text NOT NULL,
    user_id    text NOT NULL,
    tenant     text NOT NULL,
    tool       text NOT NULL,
    input      text NOT NULL,                  -- JSON, as text: jsonb knows no U+0000
    asked_at   timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    verdict    text NOT NULL DEFAULT 'pending' CHECK (verdict IN ('pending', 'approved', 'denied')),
    decided_by text,
    decided_at timestamptz,
    reason     text NOT NULL DEFAULT ''
);
CREATE INDEX approvals_of_user ON approvals (user_id, id DESC);
CREATE INDEX approvals_open ON approvals (id DESC) WHERE verdict = 'pending';
CREATE INDEX approvals_age ON approvals (expires_at);

-- Where nobody waits for an answer any more there is nothing to decide, though nobody wrote that.
CREATE FUNCTION approval_stands(a approvals) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN a.verdict = 'pending' AND (
        a.expires_at <= now()
        OR EXISTS (SELECT FROM task_events t WHERE t.task_id = a.task_id AND t.step = 1::bigint << 62))
    THEN 'expired' ELSE a.verdict END
$$;

CREATE FUNCTION forget_approvals(p_before timestamptz, p_limit int) RETURNS int LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM approvals WHERE id IN (
            SELECT id FROM approvals WHERE expires_at < p_before ORDER BY expires_at LIMIT p_limit)
        RETURNING 1)
    SELECT count(*)::int FROM gone
$$;

-- migrate:down

DROP FUNCTION forget_approvals, approval_stands;
DROP TABLE approvals;
