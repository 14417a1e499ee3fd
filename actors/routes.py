"""Where the supervisors are, and the open channels to them."""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from actors.hosting import RouteTable, shard_name
from actors.slot import Connect
from cartrita.channel.client import Channel, Exchange
from cartrita.channel.client import connect as connect_channel
from cartrita.declare import Team
from cartrita.errors import (
    AuthenticationFailed,
    CartritaError,
    ChannelLost,
    ServiceUnavailable,
    TaskTimeout,
)

FRESHEN = 2.0
"""Seconds between two looks at the table."""


class Directory(Protocol):
    """Where the supervisors are."""

    async def routes(self) -> RouteTable:
        """Return the current table from the orchestrator.

        Raises:
            ServiceUnavailable: There is none to ask.
        """

    async def locate(self, shard: str) -> str:
        """Ask a supervisor itself for its address, which works without an orchestrator."""


class Routes:
    """The table as last seen, and a channel to each shard that was needed.

    Args:
        directory: Where to ask.
        name: Who we are on the channels.
        connect: Opens a channel.

    Attributes:
        log_level: Told each time from which level on an operator wants logs; perhaps empty.
    """

    def __init__(self, directory: Directory, name: str, connect: Connect = connect_channel) -> None:
        self._directory, self._name, self._connect_to = directory, name, connect
        self._table: RouteTable | None = None
        self.log_level: Callable[[str], Any] = str
        self._channels: dict[str, Channel] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def table(self) -> RouteTable:
        """Return the table."""
        if self._table is None:
            self._table = await self._directory.routes()
        return self._table

    async def refresh(self) -> None:
        """Read the table anew; without an orchestrator the last one holds."""
        with suppress(CartritaError):
            self._table = await self._directory.routes()
            self.log_level(self._table.log_level)

    async def shard_of(self, team: Team, user: str) -> str:
        """Return the shard that takes a user's new tasks of a team.

        Raises:
            ServiceUnavailable: The team does not run.
        """
        table = self._table or await self.table()
        count = table.teams.get(team, 0)
        if count == 0:
            raise ServiceUnavailable(f"The team {team!r} is not running.", retry_after=2)
        return shard_name(team, zlib.crc32(user.encode()) % count)

    async def channel(self, shard: str) -> Channel:
        """Return an open channel to a shard, connecting when there is none.

        Raises:
            ChannelLost: It cannot be reached now.
        """
        channel = self._channels.get(shard)
        if channel and not channel.closed.done():
            return channel
        async with self._locks.setdefault(shard, asyncio.Lock()):
            channel = self._channels.get(shard)
            if channel is None or channel.closed.done():
                channel = await self._connect(shard)
                self._channels[shard] = channel
            return channel

    async def _connect(self, shard: str) -> Channel:
        """Connect to where the shard was last seen, else to where it says it is."""
        try:
            table = await self.table()
            known = table.addresses.get(shard)
            if known:
                with suppress(ChannelLost):
                    return await self._connect_to(known, token=table.token, peer=self._name)
            address = await self._directory.locate(shard)
            self._remember(shard, address)
            return await self._connect_to(address, token=table.token, peer=self._name)
        except AuthenticationFailed as error:  # the tree was started anew, with another token
            self._table = None
            raise ChannelLost(f"{shard!r} does not know us any more.") from error
        except (ServiceUnavailable, TaskTimeout) as error:
            raise ChannelLost(f"{shard!r} cannot be found: {error}") from error

    async def call(
        self,
        shard: str,
        method: str,
        payload: Any,
        timeout: float,
        exchange: Exchange | None = None,
    ) -> Any:
        """Ask a shard something that may be asked again.

        Raises:
            ServiceUnavailable: It did not answer.
        """
        try:
            channel = await self.channel(shard)
            return await channel.request(method, payload, timeout, exchange=exchange)
        except (ChannelLost, TaskTimeout) as error:
            raise ServiceUnavailable(f"{shard!r} does not answer.", retry_after=2) from error

    def _remember(self, shard: str, address: str) -> None:
        """Note where a shard listens; an empty address says that it must be asked for."""
        if self._table:
            addresses: Mapping[str, str] = {**self._table.addresses, shard: address}
            self._table = replace(self._table, addresses=addresses)

    def mislay(self, shard: str) -> None:
        """Look a shard up anew: who answers for it is not its owner any more."""
        self._forget(shard)
        self._remember(shard, "")

    def _forget(self, shard: str) -> None:
        channel = self._channels.pop(shard, None)
        if channel:
            channel.close()

    async def follow(self, period: float = FRESHEN) -> None:
        """Keep the table fresh, for as long as the door is open."""
        while True:
            await self.refresh()
            await asyncio.sleep(period)

    def close(self) -> None:
        """Close every channel."""
        for shard in list(self._channels):
            self._forget(shard)
