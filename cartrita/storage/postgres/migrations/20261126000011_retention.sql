-- migrate:up

CREATE INDEX tasks_finished ON tasks (finished_at, id) WHERE finished_at IS NOT NULL;
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

-- How far tasks were gone through in the order of their ends.
CREATE TABLE forgotten (
    what        text PRIMARY KEY,
    finished_at timestamptz NOT NULL DEFAULT '-infinity',
    task_id     uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
INSERT INTO forgotten (what) VALUES ('streams'), ('events');

-- Goes through the tasks that ended before `p_before`, at most `p_limit` of them and from where
-- the last call stopped, and deletes their events: those of one kind, or all.
-- What waits in quarantine for somebody's decision keeps its events.
CREATE FUNCTION forget_events(p_what text, p_kind smallint, p_before timestamptz, p_limit int)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    c forgotten;
    n int;
BEGIN
    SELECT * INTO c FROM forgotten WHERE what = p_what;
    WITH due AS MATERIALIZED (
        SELECT t.id, t.finished_at, t.reason FROM tasks t
        WHERE t.finished_at < p_before AND (t.finished_at, t.id) > (c.finished_at, c.task_id)
        ORDER BY t.finished_at, t.id LIMIT p_limit),
    gone AS (
        DELETE FROM task_events e USING due d
        WHERE e.task_id = d.id AND (p_kind IS NULL OR e.kind = p_kind)
          AND NOT (d.reason IS NOT DISTINCT FROM 'QUARANTINED'
                   AND NOT EXISTS (SELECT FROM quarantine_settled q WHERE q.task_id = d.id))),
    last AS (SELECT d.finished_at, d.id FROM due d ORDER BY d.finished_at DESC, d.id DESC LIMIT 1),
    moved AS (
        UPDATE forgotten f SET finished_at = l.finished_at, task_id = l.id
        FROM last l WHERE f.what = p_what)
    SELECT count(*) INTO n FROM due;
    RETURN n;
END $$;

-- Forgets a little of what was kept for long enough, and says how many tasks and keys it went
-- through: 0 when nothing is due, or when somebody else is at it. Only what has ended is
-- touched, which nobody writes any more, so it needs no shard's epoch.
CREATE FUNCTION forget(p_streams timestamptz, p_events timestamptz, p_tasks timestamptz, p_limit int)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    n int := 0;
    m int;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('cartrita forget', 0)) THEN RETURN 0; END IF;
    n := forget_events('streams', 9::smallint, p_streams, p_limit)
       + forget_events('events', NULL, p_events, p_limit);

    WITH due AS MATERIALIZED (
        SELECT t.id FROM tasks t
        WHERE t.finished_at < p_tasks AND NOT (
            t.reason IS NOT DISTINCT FROM 'QUARANTINED'
            AND NOT EXISTS (SELECT FROM quarantine_settled q WHERE q.task_id = t.id))
        ORDER BY t.finished_at LIMIT p_limit),
    events AS (DELETE FROM task_events e USING due d WHERE e.task_id = d.id),
    settled AS (DELETE FROM quarantine_settled q USING due d WHERE q.task_id = d.id)
    DELETE FROM tasks t USING due d WHERE t.id = d.id;
    GET DIAGNOSTICS m = ROW_COUNT;
    n := n + m;

    DELETE FROM idempotency_keys WHERE (principal, key) IN (
        SELECT k.principal, k.key FROM idempotency_keys k
        WHERE k.expires_at < now() ORDER BY k.expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS m = ROW_COUNT;
    RETURN n + m;
END $$;

-- migrate:down

DROP FUNCTION forget, forget_events;
DROP TABLE forgotten;
DROP INDEX idempotency_keys_expiry, tasks_finished;
