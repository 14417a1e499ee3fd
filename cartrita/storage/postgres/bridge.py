"""Keeps the move from v2 in PostgreSQL."""

import json
from collections.abc import Sequence

from cartrita.storage.bridge import Compared, Switch
from cartrita.storage.postgres.runtime import Tables
from cartrita.storage.postgres.values import moment

_READ = "SELECT rolled_back, reason, by, at FROM bridge_switch"
_TURN = """
INSERT INTO bridge_switch (rolled_back, reason, by, at) VALUES ($1, $2, $3, $4)
ON CONFLICT (single) DO UPDATE SET
    rolled_back = excluded.rolled_back, reason = excluded.reason, by = excluded.by, at = excluded.at
"""
# In one order, so that two gateways that add at once do not wait for each other in a ring.
_ADD = """
INSERT INTO bridge_comparisons AS known (route, same, different, failed, left_out, sample)
SELECT row.route, row.same, row.different, row.failed, row.left_out, row.sample::jsonb
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
    AS row (route, same, different, failed, left_out, sample)
ORDER BY row.route
ON CONFLICT (route) DO UPDATE SET
    same = known.same + excluded.same,
    different = known.different + excluded.different,
    failed = known.failed + excluded.failed,
    left_out = known.left_out + excluded.left_out,
    sample = coalesce(excluded.sample, known.sample)
"""
_ALL = """
SELECT route, same, different, failed, left_out, sample::text AS sample
FROM bridge_comparisons ORDER BY route COLLATE "C"
"""
_CLEAR = "DELETE FROM bridge_comparisons"


class PostgresSwitches(Tables):
    """The switch in the only row of `bridge_switch`."""

    async def read(self) -> Switch:
        """Return how it stands."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_READ)
        if row is None:
            return Switch()
        return Switch(row["rolled_back"], row["reason"], row["by"], row["at"].timestamp())

    async def turn(self, switch: Switch) -> None:
        """Have it stand so."""
        row = (switch.rolled_back, switch.reason, switch.by, moment(switch.at))
        async with self._connection() as connection:
            await connection.execute(_TURN, *row)


class PostgresComparisons(Tables):
    """Comparisons in `bridge_comparisons`, a row for each route."""

    async def add(self, rows: Sequence[Compared]) -> None:
        """Add counts to what is known of some routes."""
        columns = (
            [row.route for row in rows],
            [row.same for row in rows],
            [row.different for row in rows],
            [row.failed for row in rows],
            [row.left_out for row in rows],
            [None if row.sample is None else json.dumps(row.sample) for row in rows],
        )
        async with self._connection() as connection:
            await connection.execute(_ADD, *columns)

    async def all(self) -> list[Compared]:
        """Return every route that was compared."""
        async with self._connection() as connection:
            rows = await connection.fetch(_ALL)
        return [
            Compared(
                row["route"],
                row["same"],
                row["different"],
                row["failed"],
                row["left_out"],
                json.loads(row["sample"]) if row["sample"] else None,
            )
            for row in rows
        ]

    async def clear(self) -> None:
        """Begin anew."""
        async with self._connection() as connection:
            await connection.execute(_CLEAR)
