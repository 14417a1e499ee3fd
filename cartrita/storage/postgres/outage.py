"""Which errors of a database pass by themselves, and which tell the outcome."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from cartrita.errors import ServiceUnavailable

Connect = Callable[[], Awaitable[asyncpg.Connection]]
"""Opens a connection; fails with one of `AWAY` where there is none to be had."""

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)
"""A lost or restarting server: whether it had committed is unknown."""

PASSING = (
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""Deadlocks, full disks, cancelled statements, a standby that is being promoted: certainly
rolled back, and worth another try. Every other error is a defect of what was sent."""

STALE = "CT001"
"""The SQL state with which the database refuses who does not own the shard any more."""

_BUSY = (*AWAY, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError)


@asynccontextmanager
async def lend(pool: asyncpg.Pool, timeout: float, what: str) -> AsyncIterator[PoolConnectionProxy]:
    """Lend a connection of a pool, and say in our words when there is none to be had.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds for whatever is done with it, waiting for it included.
        what: Cannot be reached then.

    Raises:
        ServiceUnavailable: The database is away or too busy, or does not answer in time.
    """
    try:
        # The second bounds giving it back, too, which a server that hangs would not let us.
        async with asyncio.timeout(timeout), pool.acquire(timeout=timeout) as connection:
            yield connection
    except _BUSY as error:
        raise ServiceUnavailable(
            f"{what} cannot be reached now ({type(error).__name__}).", retry_after=2
        ) from error


async def hang_up(connection: asyncpg.Connection, timeout: float = 3.0) -> None:
    """Close a connection, whatever state it is in."""
    with suppress(*AWAY):
        await connection.close(timeout=timeout)
