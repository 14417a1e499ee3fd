-- migrate:up

-- One row per supervisor shard. Whoever raises the epoch owns the shard; a writer that acts
-- for an older epoch is refused by journal_write, however late it wakes up.
CREATE TABLE shards (
    id       text PRIMARY KEY,
    epoch    bigint NOT NULL,
    build    text NOT NULL,
    run      text NOT NULL,             -- one life of the whole instance
    restarts int NOT NULL DEFAULT 0,    -- within that life
    folded   bigint NOT NULL DEFAULT 0,
    taken_at timestamptz NOT NULL DEFAULT now()
);

-- The truth, append-only. `step` orders a task's events (0 accepted, 2^62 the end), so the
-- primary key refuses a second acceptance and a second end. `position` orders a shard's
-- events, so that the fold below knows how far it has come.
CREATE TABLE task_events (
    task_id  uuid NOT NULL,
    step     bigint NOT NULL,
    shard    text NOT NULL,
    position bigint NOT NULL,
    epoch    bigint NOT NULL,
    kind     smallint NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    data     bytea NOT NULL,
    PRIMARY KEY (task_id, step)
);
CREATE INDEX task_events_position ON task_events (shard, position);

-- Where each task stands: a fold of task_events, written behind it.
CREATE TABLE tasks (
    id          uuid PRIMARY KEY,
    shard       text NOT NULL,
    user_id     text NOT NULL,
    tenant      text NOT NULL,
    task_type   text NOT NULL,
    status      text NOT NULL,
    priority    smallint NOT NULL,
    error_code  text,
    nano_usd    bigint NOT NULL DEFAULT 0,
    tokens      bigint NOT NULL DEFAULT 0,
    accepted_at timestamptz NOT NULL,
    finished_at timestamptz
) WITH (fillfactor = 75);
CREATE INDEX tasks_unfinished ON tasks (shard, id) WHERE finished_at IS NULL;
CREATE INDEX tasks_of_user ON tasks (user_id, id DESC);

CREATE TABLE idempotency_keys (
    principal  text NOT NULL,
    key        text NOT NULL,
    task_id    uuid NOT NULL,
    digest     bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (principal, key)
);

-- A budget without a row is unlimited; `period` null means for ever.
CREATE TABLE budgets (
    id              text PRIMARY KEY,  -- user:…, tenant:…, task:…
    max_nano_usd    bigint,
    max_tokens      bigint,
    used_nano_usd   bigint NOT NULL DEFAULT 0,
    used_tokens     bigint NOT NULL DEFAULT 0,
    reserved_nano_usd bigint NOT NULL DEFAULT 0,
    reserved_tokens bigint NOT NULL DEFAULT 0,
    period          interval,
    resets_at       timestamptz,
    CHECK (used_nano_usd >= 0 AND reserved_nano_usd >= 0 AND used_tokens >= 0 AND reserved_tokens >= 0)
);
CREATE TABLE reservations (
    task_id   uuid NOT NULL,
    budget_id text NOT NULL REFERENCES budgets (id),
    nano_usd  bigint NOT NULL,
    tokens    bigint NOT NULL,
    PRIMARY KEY (task_id, budget_id)
);

-- Admits one task that has an idempotency key or a price. Its budgets are locked already.
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

-- Locks budgets in the order of their ids (so that two shards never wait for each other in a
-- circle) and begins a new period where the old one is over.
CREATE FUNCTION lock_budgets(p_ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM budgets WHERE id = ANY (p_ids) ORDER BY id FOR UPDATE;
    UPDATE budgets SET used_nano_usd = 0, used_tokens = 0,
        resets_at = resets_at + period * ceil(extract(epoch FROM now() - resets_at) / extract(epoch FROM period))
    WHERE id = ANY (p_ids) AND period IS NOT NULL AND resets_at <= now();
END $$;

-- Everything a shard's writer has to say, in one transaction and one round trip.
-- Returns a row for each task or event that did not simply go in.
CREATE FUNCTION journal_write(
    p_shard text, p_epoch bigint, p_position bigint,
    -- tasks to admit, in order; keyed and priced ones also stand in p_careful by their index
    p_ids uuid[], p_data bytea[],
    p_careful int[], p_principals text[], p_keys text[], p_digests bytea[], p_budgets text[],
    p_nano bigint[], p_tokens bigint[],
    -- events to append, in order, and what the ended among them used
    e_ids uuid[], e_steps bigint[], e_kinds smallint[], e_data bytea[],
    s_ids uuid[], s_nano bigint[], s_tokens bigint[]
) RETURNS TABLE (place int, verdict text, known uuid, budget text, resets double precision)
LANGUAGE plpgsql AS $$
DECLARE
    i int;
    one record;
    refused int[] := '{}';
    wanted text[];
BEGIN
    PERFORM FROM shards WHERE id = p_shard AND epoch = p_epoch FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'epoch % of shard % is over', p_epoch, p_shard USING ERRCODE = 'CT001';
    END IF;

    IF cardinality(p_careful) > 0 OR cardinality(s_ids) > 0 THEN
        -- One string of comma-separated ids per task: SQL has no ragged arrays.
        SELECT array_agg(DISTINCT id) INTO wanted FROM (
            SELECT unnest(string_to_array(b, ',')) AS id FROM unnest(p_budgets) b
            UNION SELECT budget_id FROM reservations WHERE task_id = ANY (s_ids)) all_ids;
        PERFORM lock_budgets(wanted);
    END IF;
    FOR i IN 1 .. cardinality(p_careful) LOOP
        SELECT * INTO one FROM admit_one(
            p_ids[p_careful[i]], p_principals[i], p_keys[i], p_digests[i],
            string_to_array(p_budgets[i], ','), p_nano[i], p_tokens[i]);
        IF one.verdict IS NOT NULL THEN
            refused := refused || p_careful[i];
            place := p_careful[i]; verdict := one.verdict; known := one.known;
            budget := one.budget; resets := one.resets;
            RETURN NEXT;
        END IF;
    END LOOP;

    IF cardinality(p_ids) > 0 THEN
        RETURN QUERY
        WITH given AS (
            SELECT u.id, u.data, u.ord FROM unnest(p_ids, p_data) WITH ORDINALITY AS u (id, data, ord)
            WHERE u.ord <> ALL (refused)),
        written AS (
            INSERT INTO task_events (task_id, step, shard, position, epoch, kind, data)
            SELECT g.id, 0, p_shard, p_position + g.ord, p_epoch, 0, g.data FROM given g
            ON CONFLICT DO NOTHING RETURNING task_id, task_events.position)
        SELECT g.ord::int, 'known', g.id, NULL::text, NULL::double precision FROM given g
        WHERE NOT EXISTS (SELECT FROM written w WHERE w.task_id = g.id AND w.position = p_position + g.ord);
    END IF;

    IF cardinality(e_ids) > 0 THEN
        RETURN QUERY
        WITH given AS (
            SELECT u.* FROM unnest(e_ids, e_steps, e_kinds, e_data) WITH ORDINALITY
                AS u (id, step, kind, data, ord)),
        written AS (
            INSERT INTO task_events (task_id, step, shard, position, epoch, kind, data)
            SELECT g.id, g.step, p_shard, p_position + cardinality(p_ids) + g.ord, p_epoch, g.kind, g.data
            FROM given g
            ON CONFLICT DO NOTHING RETURNING task_id, task_events.step, task_events.position)
        SELECT -g.ord::int, 'ended', g.id, NULL::text, NULL::double precision FROM given g
        WHERE NOT EXISTS (
            SELECT FROM written w WHERE w.task_id = g.id AND w.step = g.step
                AND w.position = p_position + cardinality(p_ids) + g.ord);
    END IF;

    IF cardinality(s_ids) > 0 THEN
        WITH spent AS (SELECT * FROM unnest(s_ids, s_nano, s_tokens) AS u (id, nano, tokens)),
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

-- migrate:down

DROP FUNCTION journal_write, lock_budgets, admit_one;
DROP TABLE reservations, budgets, idempotency_keys, tasks, task_events, shards;
