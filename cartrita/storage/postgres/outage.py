"""Which errors of a database pass by themselves, and which tell the outcome."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg

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


async def hang_up(connection: asyncpg.Connection, timeout: float = 3.0) -> None:
    """Close a connection, whatever state it is in."""
    with suppress(*AWAY):
        await connection.close(timeout=timeout)
