-- migrate:up

DROP FUNCTION journal_write, admit_one;

-- Takes a shard: waits for what its last owner's server processes are writing just now, and
-- from then on refuses whatever that owner still sends. A lock of the transaction, not of the
-- shard's row, which its writer would have to rewrite for each batch.
CREATE FUNCTION shard_lock(p_shard text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtextextended('cartrita shard ' || p_shard, 0)
$$;

CREATE FUNCTION take_shard(p_shard text, p_build text, p_run text, OUT epoch bigint, OUT restarts int)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(shard_lock(p_shard));
    INSERT INTO shards AS s (id, epoch, build, run) VALUES (p_shard, 1, p_build, p_run)
    ON CONFLICT (id) DO UPDATE SET epoch = s.epoch + 1, build = p_build, run = p_run,
        restarts = CASE WHEN s.run = p_run THEN s.restarts + 1 ELSE 0 END, taken_at = now()
    RETURNING s.epoch, s.restarts INTO epoch, restarts;
END $$;

-- Ends the transaction of whoever is not a shard's owner any more. Until it ends, nobody can
-- become one.
CREATE FUNCTION hold_shard(p_shard text, p_epoch bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(shard_lock(p_shard));
    -- A statement of its own, so that it sees what was committed while we waited.
    PERFORM FROM shards WHERE id = p_shard AND epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'epoch % of shard % is over', p_epoch, p_shard USING ERRCODE = 'CT001';
    END IF;
END $$;

-- Admits one task that has a key, a price or an old id. Its budgets are locked already.
-- Returns null when it is to be journaled, else why not.
CREATE FUNCTION admit_one(
    p_id uuid, p_principal text, p_key text, p_digest bytea, p_budgets text[],
    p_nano bigint, p_tokens bigint,
    OUT verdict text, OUT known uuid, OUT budget text, OUT resets double precision
) LANGUAGE plpgsql AS $$
DECLARE
    held record;
BEGIN
    IF p_key IS NOT NULL THEN
        INSERT INTO idempotency_keys AS k VALUES (p_principal, p_key, p_id, p_digest, now() + interval '24 hours')
        ON CONFLICT (principal, key) DO UPDATE
            SET task_id = excluded.task_id, digest = excluded.digest, expires_at = excluded.expires_at
            WHERE k.expires_at < now();
        -- A second statement, because the first does not see a row that another transaction
        -- committed while it waited for it.
        SELECT task_id, digest INTO held FROM idempotency_keys WHERE principal = p_principal AND key = p_key;
        IF held.digest <> p_digest THEN
            verdict := 'mismatch'; known := held.task_id; RETURN;
        ELSIF held.task_id <> p_id THEN
            verdict := 'known'; known := held.task_id; RETURN;
        END IF;
    END IF;
    -- An old task, whose events were forgotten: nothing else would stand in its way.
    IF EXISTS (SELECT FROM tasks WHERE id = p_id)
       AND NOT EXISTS (SELECT FROM task_events WHERE task_id = p_id AND step = 0) THEN
        verdict := 'known'; known := p_id; RETURN;
    END IF;
    IF p_nano = 0 AND p_tokens = 0 THEN RETURN; END IF;
    -- Known already, or twice in this batch: what comes first has reserved for it.
    IF EXISTS (SELECT FROM task_events WHERE task_id = p_id AND step = 0)
       OR EXISTS (SELECT FROM reservations WHERE task_id = p_id) THEN RETURN; END IF;
    SELECT id, extract(epoch FROM resets_at) AS at INTO held FROM budgets b
    WHERE id = ANY (p_budgets)
      AND (b.used_nano_usd + b.reserved_nano_usd + p_nano > b.max_nano_usd
           OR b.used_tokens + b.reserved_tokens + p_tokens > b.max_tokens)
    ORDER BY id LIMIT 1;
    IF FOUND THEN
        IF p_key IS NOT NULL THEN  -- a refusal is never stored as the answer
            DELETE FROM idempotency_keys WHERE principal = p_principal AND key = p_key AND task_id = p_id;
        END IF;
        verdict := 'budget'; budget := held.id; resets := held.at; RETURN;
    END IF;
    UPDATE budgets SET reserved_nano_usd = reserved_nano_usd + p_nano, reserved_tokens = reserved_tokens + p_tokens
    WHERE id = ANY (p_budgets);
    INSERT INTO reservations SELECT p_id, b.id, p_nano, p_tokens FROM budgets b WHERE b.id = ANY (p_budgets);
END $$;

-- One batch of a shard, in one transaction and one round trip.
-- Returns a row for each entry that did not simply go in.
CREATE FUNCTION journal_write(
    p_shard text, p_epoch bigint, p_position bigint,
    -- What to append, in order. Ids and numbers travel as the text of an array, which is
    -- quicker to write and to read than its binary form.
    p_ids text, p_steps text, p_kinds text, p_at text, p_data bytea[],
    -- Whether to expect some of it to be there already; else that is a unique_violation.
    p_contested boolean,
    -- by their places above: new tasks to look at closely, ends that settle something
    c_places int[], c_principals text[], c_keys text[], c_digests bytea[], c_budgets text[],
    c_nano bigint[], c_tokens bigint[],
    s_places int[], s_nano bigint[], s_tokens bigint[]
) RETURNS TABLE (place int, verdict text, known uuid, budget text, resets double precision)
LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[] := p_ids;
    i int;
    one record;
    out_of_it int[] := '{}';
BEGIN
    PERFORM hold_shard(p_shard, p_epoch);
    IF cardinality(c_places) > 0 OR cardinality(s_places) > 0 THEN
        -- One string of comma-separated ids per task: SQL has no ragged arrays.
        PERFORM lock_budgets(array_agg(DISTINCT id)) FROM (
            SELECT unnest(string_to_array(b, ',')) AS id FROM unnest(c_budgets) b
            UNION SELECT r.budget_id FROM unnest(s_places) p JOIN reservations r ON r.task_id = ids[p]) all_ids;
    END IF;
    FOR i IN 1 .. cardinality(c_places) LOOP
        SELECT * INTO one FROM admit_one(
            ids[c_places[i]], c_principals[i], c_keys[i], c_digests[i],
            string_to_array(c_budgets[i], ','), c_nano[i], c_tokens[i]);
        IF one.verdict IS NOT NULL THEN
            out_of_it := out_of_it || c_places[i];
            place := c_places[i]; verdict := one.verdict; known := one.known;
            budget := one.budget; resets := one.resets;
            RETURN NEXT;
        END IF;
    END LOOP;

    IF NOT p_contested THEN
        INSERT INTO task_events (task_id, step, shard, position, epoch, kind, at, data)
        SELECT u.id, u.step, p_shard, p_position + u.ord, p_epoch, u.kind, to_timestamp(u.at), u.data
        FROM unnest(ids, p_steps::bigint[], p_kinds::smallint[], p_at::float8[], p_data)
            WITH ORDINALITY AS u (id, step, kind, at, data, ord)
        WHERE u.ord <> ALL (out_of_it);
    ELSE
        FOR place, verdict, known IN
            WITH given AS (
                SELECT u.* FROM unnest(ids, p_steps::bigint[], p_kinds::smallint[], p_at::float8[],
                                       p_data) WITH ORDINALITY AS u (id, step, kind, at, data, ord)
                WHERE u.ord <> ALL (out_of_it)),
            written AS (
                INSERT INTO task_events (task_id, step, shard, position, epoch, kind, at, data)
                SELECT g.id, g.step, p_shard, p_position + g.ord, p_epoch, g.kind,
                       to_timestamp(g.at), g.data
                FROM given g ORDER BY g.ord
                ON CONFLICT DO NOTHING RETURNING task_events.position)
            SELECT g.ord::int, CASE g.step WHEN 0 THEN 'known' ELSE 'ended' END, g.id FROM given g
            WHERE p_position + g.ord NOT IN (SELECT w.position FROM written w)
        LOOP
            out_of_it := out_of_it || place;
            budget := NULL; resets := NULL;
            RETURN NEXT;
        END LOOP;
    END IF;

    IF cardinality(s_places) > 0 THEN
        WITH spent AS (
            SELECT ids[u.p] AS id, u.nano, u.tokens FROM unnest(s_places, s_nano, s_tokens) AS u (p, nano, tokens)
            WHERE u.p <> ALL (out_of_it)),
        freed AS (
            DELETE FROM reservations r USING spent s WHERE r.task_id = s.id
            RETURNING r.budget_id, r.nano_usd, r.tokens, s.nano AS spent_nano, s.tokens AS spent_tokens),
        sums AS (
            SELECT budget_id, sum(nano_usd) AS nano, sum(tokens) AS tokens,
                   sum(spent_nano) AS spent_nano, sum(spent_tokens) AS spent_tokens
            FROM freed GROUP BY budget_id)
        UPDATE budgets b SET
            reserved_nano_usd = reserved_nano_usd - s.nano, reserved_tokens = reserved_tokens - s.tokens,
            used_nano_usd = used_nano_usd + s.spent_nano, used_tokens = used_tokens + s.spent_tokens
        FROM sums s WHERE b.id = s.budget_id;
    END IF;
END $$;

-- Brings `tasks` up to the events of a shard, as far as `p_reached`: atomic, and one round trip,
-- so that a writer which is stopped in the middle of it holds nothing up.
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

-- migrate:down

DROP FUNCTION fold_tasks, journal_write, admit_one, hold_shard, take_shard, shard_lock;
