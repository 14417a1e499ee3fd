-- migrate:up

-- Whether all of v2's routes are v2's for now; one row, or none where nobody ever turned it.
CREATE TABLE bridge_switch (
    single      boolean PRIMARY KEY DEFAULT true CHECK (single),
    rolled_back boolean NOT NULL,
    reason      text NOT NULL,
    by          text NOT NULL,
    at          timestamptz NOT NULL
);

-- How v2's answers and the bridge's compared; a row for each route of the bridge's table.
CREATE TABLE bridge_comparisons (
    route     text PRIMARY KEY,
    same      bigint NOT NULL,
    different bigint NOT NULL,
    failed    bigint NOT NULL,
    left_out  bigint NOT NULL,
    sample    jsonb
);

-- migrate:down

DROP TABLE bridge_comparisons;
DROP TABLE bridge_switch;
