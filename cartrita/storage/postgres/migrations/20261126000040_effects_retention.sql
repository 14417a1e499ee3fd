-- migrate:up

CREATE INDEX effects_known ON effects (begun_at) WHERE state IN ('done', 'not_done');
CREATE INDEX tasks_of_retry ON tasks (retry_of) WHERE retry_of IS NOT NULL;

-- Forgets effects that were begun before `p_before`, and are known, with the events of their
-- task and of whatever tries it again; says how many. What is unknown stays until somebody
-- decides, and what was begun is unknown when nothing of its task is left to tell that it ended.
CREATE FUNCTION forget_effects(p_before timestamptz, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    n int;
BEGIN
    UPDATE effects e SET state = 'unknown', ended_at = now()
    WHERE e.state = 'begun' AND e.begun_at < p_before
      AND NOT EXISTS (SELECT FROM task_events t WHERE t.task_id = e.task_id AND t.step = 0);
    DELETE FROM effects WHERE id IN (
        SELECT e.id FROM effects e
        WHERE e.state IN ('done', 'not_done') AND e.begun_at < p_before
          AND NOT EXISTS (SELECT FROM task_events t WHERE t.task_id = e.task_id AND t.step = 0)
          AND NOT EXISTS (
              SELECT FROM tasks r JOIN task_events t ON t.task_id = r.id AND t.step = 0
              WHERE r.retry_of = e.root)
        ORDER BY e.begun_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- migrate:down

DROP FUNCTION forget_effects;
DROP INDEX tasks_of_retry, effects_known;
