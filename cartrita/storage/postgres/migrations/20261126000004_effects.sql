-- migrate:up

-- What tasks do to the outside world. An id follows from the work, the kind and the key, so
-- every attempt at the same work finds the same row; `root` is the first of the tasks that try
-- the same work. Shard, epoch, task and attempt are who may end what stands here as `begun`, or
-- settle what stands as `unknown`.
CREATE TABLE effects (
    id         uuid PRIMARY KEY,
    root       uuid NOT NULL,
    task_id    uuid NOT NULL,
    task_type  text NOT NULL,
    user_id    text NOT NULL,
    tenant     text NOT NULL,
    name       text NOT NULL,
    key        text NOT NULL,
    state      text NOT NULL CHECK (state IN ('begun', 'done', 'not_done', 'unknown')),
    shard      text NOT NULL,
    epoch      bigint NOT NULL,
    attempt    int NOT NULL,
    result     text NOT NULL DEFAULT 'null',    -- JSON, as text: jsonb knows no U+0000
    begun_at   timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    settled_by text
);
CREATE INDEX effects_of_root ON effects (root);
CREATE INDEX effects_of_user ON effects (user_id, id DESC);
CREATE INDEX effects_open ON effects (id DESC) WHERE state IN ('begun', 'unknown');

-- What was begun by an attempt that certainly is over is unknown, though nobody wrote that.
CREATE FUNCTION effect_stands(e effects) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN e.state = 'begun' AND (
        EXISTS (SELECT FROM shards s WHERE s.id = e.shard AND s.epoch > e.epoch)
        OR EXISTS (SELECT FROM task_events t WHERE t.task_id = e.task_id AND t.step = 1::bigint << 62))
    THEN 'unknown' ELSE e.state END
$$;

-- Everything attempts of a shard have to say about effects, in order, in one transaction and
-- one round trip. Asking again changes nothing, so a batch whose commit was not answered is
-- simply sent again. Returns what stands after each.
CREATE FUNCTION effects_write(
    p_shard text, p_epoch bigint,
    -- 'begin', or the state in which the attempt holds what it ends: 'begun' or 'unknown'
    p_verbs text[], p_ids uuid[], p_roots uuid[], p_tasks uuid[], p_attempts int[],
    p_types text[], p_users text[], p_tenants text[], p_names text[], p_keys text[],
    p_states text[], p_results text[]
) RETURNS TABLE (place int, stands text, told text)
LANGUAGE plpgsql AS $$
DECLARE
    i int;
    held effects;
    mine boolean;
BEGIN
    PERFORM FROM shards WHERE id = p_shard AND epoch = p_epoch FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'epoch % of shard % is over', p_epoch, p_shard USING ERRCODE = 'CT001';
    END IF;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        IF p_verbs[i] = 'begin' THEN
            INSERT INTO effects (id, root, task_id, task_type, user_id, tenant, name, key, state, shard, epoch, attempt)
            VALUES (p_ids[i], p_roots[i], p_tasks[i], p_types[i], p_users[i], p_tenants[i], p_names[i], p_keys[i],
                    'begun', p_shard, p_epoch, p_attempts[i])
            ON CONFLICT (id) DO NOTHING;
        END IF;
        SELECT * INTO held FROM effects WHERE id = p_ids[i] FOR UPDATE;
        IF NOT FOUND THEN
            place := i; stands := 'not_done'; told := 'null';
            RETURN NEXT;
            CONTINUE;
        END IF;
        mine := (held.shard, held.epoch, held.task_id, held.attempt)
              = (p_shard, p_epoch, p_tasks[i], p_attempts[i]);
        IF p_verbs[i] = 'begin' THEN
            IF held.state = 'not_done' THEN
                held.state := 'begun'; held.begun_at := clock_timestamp(); held.ended_at := NULL;
                held.settled_by := NULL; mine := false;
            ELSIF held.state = 'begun' AND NOT mine OR held.state = 'unknown' THEN
                held.state := 'unknown'; held.ended_at := coalesce(held.ended_at, clock_timestamp());
                mine := false;
            ELSE
                mine := true;  -- nothing to write
            END IF;
            IF NOT mine THEN
                UPDATE effects e SET state = held.state, begun_at = held.begun_at, ended_at = held.ended_at,
                    settled_by = held.settled_by, task_id = p_tasks[i], shard = p_shard, epoch = p_epoch,
                    attempt = p_attempts[i]
                WHERE e.id = held.id;
            END IF;
        ELSIF mine AND held.state = p_verbs[i] THEN
            held.state := p_states[i]; held.result := p_results[i];
            UPDATE effects e SET state = held.state, result = held.result, ended_at = clock_timestamp(),
                settled_by = CASE WHEN p_verbs[i] = 'unknown' THEN 'probe' END
            WHERE e.id = held.id;
        END IF;
        place := i; stands := held.state; told := held.result;
        RETURN NEXT;
    END LOOP;
END $$;

-- migrate:down

DROP FUNCTION effects_write;
DROP FUNCTION effect_stands;
DROP TABLE effects;
