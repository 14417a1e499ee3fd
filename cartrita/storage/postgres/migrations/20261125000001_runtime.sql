-- migrate:up

-- Why a task failed, and whose child or second try it is.
ALTER TABLE tasks
    ADD reason   text,
    ADD parent   uuid,
    ADD retry_of uuid;
CREATE INDEX tasks_quarantined ON tasks (id DESC) WHERE reason = 'QUARANTINED';
CREATE INDEX tasks_of_parent ON tasks (parent) WHERE parent IS NOT NULL;

-- What became of quarantined tasks; one without a row waits for somebody to decide. Not
-- columns of `tasks`, which may not have the row yet: it is a fold, a moment behind.
CREATE TABLE quarantine_settled (
    task_id    uuid PRIMARY KEY,
    how        text NOT NULL CHECK (how IN ('retried', 'discarded')),
    by         text NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    retried_as uuid,
    CHECK ((how = 'retried') = (retried_as IS NOT NULL))
);

-- What operators want of the tree beyond its settings; it outlives the tree.
CREATE TABLE orders (
    key   text PRIMARY KEY,
    value jsonb NOT NULL,
    at    timestamptz NOT NULL DEFAULT now(),
    by    text NOT NULL
);

-- Who commanded what, and how it went. Append-only.
CREATE TABLE audit_log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    actor   text NOT NULL,
    action  text NOT NULL,
    target  text NOT NULL,
    detail  jsonb NOT NULL,
    outcome text NOT NULL
);

-- migrate:down

DROP TABLE audit_log;
DROP TABLE orders;
DROP TABLE quarantine_settled;
DROP INDEX tasks_of_parent;
DROP INDEX tasks_quarantined;
ALTER TABLE tasks
    DROP retry_of,
    DROP parent,
    DROP reason;
