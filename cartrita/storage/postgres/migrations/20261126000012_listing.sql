-- migrate:up

-- Lists of tasks go by when they were accepted: ids may be the clients' own.
ALTER TABLE tasks ADD session_id text;
CREATE INDEX tasks_by_user ON tasks (user_id, accepted_at DESC, id DESC);
CREATE INDEX tasks_by_time ON tasks (accepted_at DESC, id DESC);
CREATE INDEX tasks_by_session ON tasks (session_id, accepted_at DESC, id DESC)
    WHERE session_id IS NOT NULL;
DROP INDEX tasks_of_user;

-- As it was, with the session.
DROP FUNCTION fold_tasks;
CREATE FUNCTION fold_tasks(
    p_shard text, p_epoch bigint, p_reached bigint,
    -- What many tasks share. Without a user it is the end of a task whose row is there already.
    k_users text[], k_tenants text[], k_types text[], k_priorities int[],
    k_statuses text[], k_codes text[], k_reasons text[],
    -- the tasks, in the text form of arrays, with the place of what they share
    p_ids text, p_kinds text, p_nano text, p_tokens text,
    p_accepted text, p_finished text, p_parents text, p_retries text,
    p_sessions text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hold_shard(p_shard, p_epoch);
    WITH kinds AS (
        SELECT * FROM unnest(k_users, k_tenants, k_types, k_priorities, k_statuses, k_codes, k_reasons)
            WITH ORDINALITY AS k (user_id, tenant, task_type, priority, status, error_code, reason, ord)),
    given AS (
        SELECT * FROM unnest(p_ids::uuid[], p_kinds::int[], p_nano::bigint[], p_tokens::bigint[],
                             p_accepted::float8[], p_finished::float8[], p_parents::uuid[], p_retries::uuid[],
                             p_sessions)
            AS u (id, kind, nano_usd, tokens, accepted, finished, parent, retry_of, session_id)
        JOIN kinds k ON k.ord = u.kind),
    begun AS (
        INSERT INTO tasks AS t (id, shard, user_id, tenant, task_type, status, priority, error_code,
                                reason, nano_usd, tokens, accepted_at, finished_at, parent, retry_of,
                                session_id)
        SELECT g.id, p_shard, g.user_id, g.tenant, g.task_type, g.status, g.priority, g.error_code,
               g.reason, g.nano_usd, g.tokens, to_timestamp(g.accepted), to_timestamp(g.finished),
               g.parent, g.retry_of, g.session_id
        FROM given g WHERE g.user_id IS NOT NULL
        ON CONFLICT (id) DO UPDATE SET status = excluded.status, error_code = excluded.error_code,
            reason = excluded.reason, nano_usd = excluded.nano_usd, tokens = excluded.tokens,
            finished_at = excluded.finished_at
        WHERE t.finished_at IS NULL)
    UPDATE tasks t SET status = g.status, error_code = g.error_code, reason = g.reason,
        nano_usd = g.nano_usd, tokens = g.tokens, finished_at = to_timestamp(g.finished)
    FROM given g WHERE g.user_id IS NULL AND t.id = g.id AND t.finished_at IS NULL;
    UPDATE shards SET folded = greatest(folded, p_reached) WHERE id = p_shard;
END $$;

-- migrate:down

DROP FUNCTION fold_tasks;
CREATE FUNCTION fold_tasks(
    p_shard text, p_epoch bigint, p_reached bigint,
    -- What many tasks share. Without a user it is the end of a task whose row is there already.
    k_users text[], k_tenants text[], k_types text[], k_priorities int[],
    k_statuses text[], k_codes text[], k_reasons text[],
    -- the tasks, in the text form of arrays, with the place of what they share
    p_ids text, p_kinds text, p_nano text, p_tokens text,
    p_accepted text, p_finished text, p_parents text, p_retries text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hold_shard(p_shard, p_epoch);
    WITH kinds AS (
        SELECT * FROM unnest(k_users, k_tenants, k_types, k_priorities, k_statuses, k_codes, k_reasons)
            WITH ORDINALITY AS k (user_id, tenant, task_type, priority, status, error_code, reason, ord)),
    given AS (
        SELECT * FROM unnest(p_ids::uuid[], p_kinds::int[], p_nano::bigint[], p_tokens::bigint[],
                             p_accepted::float8[], p_finished::float8[], p_parents::uuid[], p_retries::uuid[])
            AS u (id, kind, nano_usd, tokens, accepted, finished, parent, retry_of)
        JOIN kinds k ON k.ord = u.kind),
    begun AS (
        INSERT INTO tasks AS t (id, shard, user_id, tenant, task_type, status, priority, error_code,
                                reason, nano_usd, tokens, accepted_at, finished_at, parent, retry_of)
        SELECT g.id, p_shard, g.user_id, g.tenant, g.task_type, g.status, g.priority, g.error_code,
               g.reason, g.nano_usd, g.tokens, to_timestamp(g.accepted), to_timestamp(g.finished),
               g.parent, g.retry_of
        FROM given g WHERE g.user_id IS NOT NULL
        ON CONFLICT (id) DO UPDATE SET status = excluded.status, error_code = excluded.error_code,
            reason = excluded.reason, nano_usd = excluded.nano_usd, tokens = excluded.tokens,
            finished_at = excluded.finished_at
        WHERE t.finished_at IS NULL)
    UPDATE tasks t SET status = g.status, error_code = g.error_code, reason = g.reason,
        nano_usd = g.nano_usd, tokens = g.tokens, finished_at = to_timestamp(g.finished)
    FROM given g WHERE g.user_id IS NULL AND t.id = g.id AND t.finished_at IS NULL;
    UPDATE shards SET folded = greatest(folded, p_reached) WHERE id = p_shard;
END $$;
CREATE INDEX tasks_of_user ON tasks (user_id, id DESC);
DROP INDEX tasks_by_session;
DROP INDEX tasks_by_time;
DROP INDEX tasks_by_user;
ALTER TABLE tasks DROP session_id;
