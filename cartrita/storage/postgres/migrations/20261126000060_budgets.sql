-- migrate:up

-- `own`: somebody set it. Others are made when somebody first needs them, and follow the settings.
ALTER TABLE budgets ADD own boolean NOT NULL DEFAULT true, ADD made_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX budgets_of_trees ON budgets (made_at) WHERE id LIKE 'task:%';
CREATE INDEX reservations_of_budget ON reservations (budget_id);

-- What ended tasks were charged, summed up.
CREATE TABLE usage (
    day       date NOT NULL,
    user_id   text NOT NULL,
    tenant    text NOT NULL,
    agent     text NOT NULL,
    task_type text NOT NULL,
    model     text NOT NULL,           -- empty for what no model was used for
    tasks     bigint NOT NULL,
    calls     bigint NOT NULL,
    cached    bigint NOT NULL,
    nano_usd  bigint NOT NULL,
    tokens    bigint NOT NULL,
    PRIMARY KEY (day, user_id, tenant, agent, task_type, model)
);
CREATE INDEX usage_of_user ON usage (user_id, day);

DROP FUNCTION journal_write, admit_one;

CREATE FUNCTION next_day() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT (date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC'
$$;

-- Makes those of the budgets that are missing and have a default, then locks all. Whoever makes
-- budgets makes them in the order of their ids, too, and holds no others yet: so nobody waits in
-- a circle.
CREATE FUNCTION open_budgets(p_ids text[], p_defaults jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO budgets (id, period, resets_at, own)
    SELECT i.id, CASE WHEN k.day THEN interval '1 day' END, CASE WHEN k.day THEN next_day() END, false
    FROM unnest(p_ids) AS i (id),
         LATERAL (SELECT (p_defaults -> split_part(i.id, ':', 1) ->> 'day')::boolean AS day) k
    WHERE k.day IS NOT NULL AND NOT EXISTS (SELECT FROM budgets b WHERE b.id = i.id)
    ORDER BY i.id ON CONFLICT DO NOTHING;
    PERFORM lock_budgets(p_ids);
    UPDATE budgets b SET max_nano_usd = k.nano, max_tokens = k.tokens,
        period = CASE WHEN k.day THEN interval '1 day' END,
        resets_at = CASE WHEN k.day THEN coalesce(b.resets_at, next_day()) END
    FROM (SELECT d.key, d.value, (d.value ->> 'nano')::bigint AS nano, (d.value ->> 'tokens')::bigint AS tokens,
                 (d.value ->> 'day')::boolean AS day FROM jsonb_each(p_defaults) d) k
    WHERE b.id = ANY (p_ids) AND NOT b.own AND split_part(b.id, ':', 1) = k.key
      AND (b.max_nano_usd, b.max_tokens, b.period IS NOT NULL) IS DISTINCT FROM (k.nano, k.tokens, k.day);
END $$;

-- Admits one task that has a key, a price or an old id. Its budgets are locked already.
-- Returns null when it is to be journaled, else why not; and how full the fullest of its
-- budgets was before it, as far as they have a ceiling.
CREATE FUNCTION admit_one(
    p_id uuid, p_principal text, p_key text, p_digest bytea, p_budgets text[],
    p_nano bigint, p_tokens bigint,
    OUT verdict text, OUT known uuid, OUT budget text, OUT resets double precision,
    OUT pressure double precision
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
    -- One that costs nothing is noted only in the budget that begins with it, for as long as it lives.
    IF p_nano = 0 AND p_tokens = 0 AND 'task:' || p_id <> ALL (p_budgets) THEN RETURN; END IF;
    -- Known already, or twice in this batch: what comes first has reserved for it.
    IF EXISTS (SELECT FROM task_events WHERE task_id = p_id AND step = 0)
       OR EXISTS (SELECT FROM reservations WHERE task_id = p_id) THEN RETURN; END IF;
    SELECT id, extract(epoch FROM resets_at) AS at INTO held FROM budgets b
    WHERE id = ANY (p_budgets)
      AND (p_nano > 0 AND b.used_nano_usd + b.reserved_nano_usd + p_nano > b.max_nano_usd
           OR p_tokens > 0 AND b.used_tokens + b.reserved_tokens + p_tokens > b.max_tokens)
    ORDER BY id LIMIT 1;
    IF FOUND THEN
        IF p_key IS NOT NULL THEN  -- a refusal is never stored as the answer
            DELETE FROM idempotency_keys WHERE principal = p_principal AND key = p_key AND task_id = p_id;
        END IF;
        verdict := 'budget'; budget := held.id; resets := held.at; RETURN;
    END IF;
    WITH taken AS (
        UPDATE budgets b SET reserved_nano_usd = b.reserved_nano_usd + p_nano,
                             reserved_tokens = b.reserved_tokens + p_tokens
        WHERE b.id = ANY (p_budgets)
        RETURNING b.id, b.used_nano_usd + b.reserved_nano_usd - p_nano AS nano, b.max_nano_usd,
                  b.used_tokens + b.reserved_tokens - p_tokens AS tokens, b.max_tokens),
    kept AS (INSERT INTO reservations SELECT p_id, t.id, p_nano, p_tokens FROM taken t)
    SELECT least(1, coalesce(max(greatest(t.nano::float8 / nullif(t.max_nano_usd, 0),
                                          t.tokens::float8 / nullif(t.max_tokens, 0))), 0))
    INTO pressure FROM taken t;
END $$;

-- One batch of a shard, in one transaction and one round trip.
-- Returns a row for each entry that did not simply go in, and for each task that was admitted
-- under a budget which was not empty.
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
    s_places int[], s_nano bigint[], s_tokens bigint[],
    -- What budgets hold that nobody set, by their kind; the ceilings of the trees that begin
    -- with the tasks above; what was used of which model, by the places of the ends.
    p_defaults jsonb, t_budgets text[], t_nano bigint[], t_tokens bigint[], s_lines jsonb
) RETURNS TABLE (place int, verdict text, known uuid, budget text, resets double precision,
                 pressure double precision)
LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[] := p_ids;
    i int;
    one record;
    out_of_it int[] := '{}';
BEGIN
    PERFORM hold_shard(p_shard, p_epoch);
    IF cardinality(c_places) > 0 OR cardinality(s_places) > 0 THEN
        INSERT INTO budgets (id, max_nano_usd, max_tokens)
        SELECT t.id, t.nano, t.tokens FROM unnest(t_budgets, t_nano, t_tokens) AS t (id, nano, tokens)
        ORDER BY t.id ON CONFLICT DO NOTHING;
        -- One string of ids per task: SQL has no ragged arrays. What separates them is in no name.
        PERFORM open_budgets(array_agg(DISTINCT id), p_defaults) FROM (
            SELECT unnest(string_to_array(b, E'\x1f')) AS id FROM unnest(c_budgets) b
            UNION SELECT r.budget_id FROM unnest(s_places) p JOIN reservations r ON r.task_id = ids[p]) all_ids;
    END IF;
    FOR i IN 1 .. cardinality(c_places) LOOP
        SELECT * INTO one FROM admit_one(
            ids[c_places[i]], c_principals[i], c_keys[i], c_digests[i],
            string_to_array(c_budgets[i], E'\x1f'), c_nano[i], c_tokens[i]);
        IF one.verdict IS NOT NULL THEN
            out_of_it := out_of_it || c_places[i];
            place := c_places[i]; verdict := one.verdict; known := one.known;
            budget := one.budget; resets := one.resets; pressure := NULL;
            RETURN NEXT;
            -- The tree that would have begun with it, unless its twin is here.
            DELETE FROM budgets b WHERE b.id = 'task:' || ids[c_places[i]] AND b.id = ANY (t_budgets)
                AND NOT EXISTS (SELECT FROM reservations r WHERE r.budget_id = b.id)
                AND NOT EXISTS (SELECT FROM task_events e WHERE e.task_id = ids[c_places[i]]);
        ELSIF one.pressure > 0 THEN
            place := c_places[i]; verdict := 'accepted'; known := NULL;
            budget := NULL; resets := NULL; pressure := one.pressure;
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
            budget := NULL; resets := NULL; pressure := NULL;
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
    IF s_lines IS NOT NULL THEN
        INSERT INTO usage AS u (day, user_id, tenant, agent, task_type, model,
                                tasks, calls, cached, nano_usd, tokens)
        SELECT l.day, l.user_id, l.tenant, l.agent, l.task_type, l.model,
               sum(l.tasks), sum(l.calls), sum(l.cached), sum(l.nano_usd), sum(l.tokens)
        FROM jsonb_to_recordset(s_lines) AS l (
            place int, day date, user_id text, tenant text, agent text, task_type text, model text,
            tasks int, calls int, cached int, nano_usd bigint, tokens bigint)
        WHERE l.place <> ALL (out_of_it)
        GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
        ON CONFLICT (day, user_id, tenant, agent, task_type, model) DO UPDATE SET
            tasks = u.tasks + excluded.tasks, calls = u.calls + excluded.calls,
            cached = u.cached + excluded.cached, nano_usd = u.nano_usd + excluded.nano_usd,
            tokens = u.tokens + excluded.tokens;
    END IF;
END $$;

-- Forgets the budgets of trees of tasks that were forgotten, and what was used before `p_tasks`.
CREATE FUNCTION forget_budgets(p_events timestamptz, p_tasks timestamptz, p_limit int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    n int;
    m int;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('cartrita forget', 0)) THEN RETURN 0; END IF;
    DELETE FROM budgets WHERE id IN (
        SELECT b.id FROM budgets b
        WHERE b.id LIKE 'task:%' AND b.made_at < p_events
          AND NOT EXISTS (SELECT FROM reservations r WHERE r.budget_id = b.id)
          AND NOT EXISTS (SELECT FROM task_events e WHERE e.task_id = substr(b.id, 6)::uuid)
        ORDER BY b.made_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM usage WHERE ctid IN (SELECT ctid FROM usage WHERE day < p_tasks::date LIMIT p_limit);
    GET DIAGNOSTICS m = ROW_COUNT;
    RETURN n + m;
END $$;

-- migrate:down

DROP FUNCTION forget_budgets, journal_write, admit_one, open_budgets, next_day;
DROP TABLE usage;
DROP INDEX reservations_of_budget, budgets_of_trees;
ALTER TABLE budgets DROP made_at, DROP own;

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
