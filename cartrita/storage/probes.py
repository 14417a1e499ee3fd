"""Probes the databases."""

import asyncpg

from cartrita.errors import ServiceUnavailable


class PostgresProbe:
    """Opens a connection of its own and asks for the version: a full pool is no outage.

    Args:
        url: `postgresql://…`
        timeout: Seconds to connect, and to answer.
    """

    name = "postgres"
    required = True

    def __init__(self, url: str, timeout: float = 2.0) -> None:
        self._url = url
        self._timeout = timeout

    async def check(self) -> str:
        """Return the server's version.

        Raises:
            ServiceUnavailable: It does not answer; the cause is named by its kind only.
        """
        try:
            connection = await asyncpg.connect(
                self._url, timeout=self._timeout, statement_cache_size=0
            )
            try:
                version = await connection.fetchval("SHOW server_version", timeout=self._timeout)
            finally:
                await connection.close(timeout=self._timeout)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ServiceUnavailable(
                f"PostgreSQL does not answer ({type(error).__name__})."
            ) from error
        return f"PostgreSQL {version}"


class RedisProbe:
    """Opens a connection of its own and pings; what is kept there is disposable.

    Args:
        url: `redis://…` or `unix://…`
        timeout: Seconds to connect, and to answer.
    """

    name = "redis"
    required = False

    def __init__(self, url: str, timeout: float = 2.0) -> None:
        self._url = url
        self._timeout = timeout

    async def check(self) -> str:
        """Return the server's version.

        Raises:
            ServiceUnavailable: It does not answer; the cause is named by its kind only.
        """
        # 9 MB that processes which never probe need not hold.
        from redis.asyncio import Redis  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        client = Redis.from_url(
            self._url, socket_timeout=self._timeout, socket_connect_timeout=self._timeout
        )
        try:
            about = await client.info("server")
        except (OSError, TimeoutError, RedisError) as error:
            raise ServiceUnavailable(f"Redis does not answer ({type(error).__name__}).") from error
        finally:
            await client.aclose()
        name = about.get("server_name", "redis")
        return f"{name} {about.get(f'{name}_version', about['redis_version'])}"
