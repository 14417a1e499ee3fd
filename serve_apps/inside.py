"""A gateway for one program, in its own process: no port, no token, the same answers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from starlette.types import ASGIApp

from actors import spawn
from actors.directory import ORCHESTRATOR, RayDirectory
from cartrita.auth.claims import Claims
from cartrita.auth.identity import Identity, Session
from cartrita.clock import SystemClock
from cartrita.errors import ConfigurationInvalid
from cartrita.protocol.principal import Principal
from cartrita.storage.ports import Users
from serve_apps.gateway.app import gateway
from serve_apps.gateway.gate import Gate
from serve_apps.inprocess import AsyncInProcess, InProcess, running
from serve_apps.opening import open_gate

DAY = 86_400


class Believed(Identity):
    """Takes everybody for the one who was named when the cluster was joined."""

    def __init__(self, who: Principal, users: Users) -> None:
        self._who, self._users = who, users

    async def admit(self, token: str) -> Claims:
        """Return who it is, whatever the token."""
        who, now = self._who, int(SystemClock().now())
        return Claims(who.user, who.tenant, who.role, who.scopes, "inside", now, now + DAY)

    async def register(
        self, email: str, password: str, name: str = "", life: int | None = None
    ) -> Session:
        """Refuse."""
        raise _no_sessions()

    async def login(self, email: str, password: str, life: int | None = None) -> Session:
        """Refuse."""
        raise _no_sessions()

    async def refresh(self, refresh_token: str) -> Session:
        """Refuse."""
        raise _no_sessions()

    async def logout(self, refresh_token: str | None, claims: Claims) -> None:
        """Do nothing: there is no session."""


def _no_sessions() -> ConfigurationInvalid:
    return ConfigurationInvalid(
        "A client that joined the cluster has no sessions: name another principal in "
        "`connect_ray`, or sign in at a gateway."
    )


def _same(asked: str, joined: str) -> bool:
    """Tell whether two addresses can be one; Ray calls this machine by another name than we."""
    port = asked.rpartition(":")[2]
    return not port.isdecimal() or port == joined.rpartition(":")[2]


class Inside:
    """A way into the tree on a Ray that this process joins.

    Args:
        who: In whose name it is used.
        address: Of Ray.
        instance: Its name, which is the namespace of its actors.

    Raises:
        ConfigurationInvalid: This process has joined another Ray.
        ServiceUnavailable: Ray does not answer, or no tree runs on it.
    """

    def __init__(self, who: Principal, address: str, instance: str) -> None:
        self._who, self._instance = who, instance
        # It is never left: other clients of this process may be at work on it.
        if not spawn.connect(address, instance) and not _same(address, spawn.joined()):
            raise ConfigurationInvalid(
                f"This process has joined the Ray at {spawn.joined()!r}, and the tree is wanted "
                f"that runs on the one at {address!r}: use a process for each."
            )
        spawn.find(ORCHESTRATOR, instance)

    def blocking(self) -> httpx.BaseTransport:
        """Return it for a program without an event loop."""
        return InProcess(self._made)

    def asynchronous(self) -> httpx.AsyncBaseTransport:
        """Return it for a program with one."""
        return self._made()

    def _made(self) -> AsyncInProcess:
        stack = AsyncExitStack()

        async def opened() -> ASGIApp:
            return await stack.enter_async_context(self._application())

        async def closed() -> None:
            await stack.aclose()

        return AsyncInProcess(opened, closed)

    @asynccontextmanager
    async def _application(self) -> AsyncIterator[ASGIApp]:
        config = await RayDirectory(self._instance).config()
        settings = config.settings
        async with open_gate(config, "program", self._believed) as gate:

            @asynccontextmanager
            async def there() -> AsyncIterator[Gate]:
                yield gate

            app = gateway(
                there,
                max_body=settings.server.max_body_bytes,
                max_blob=settings.blobs.max_bytes,
                show_docs=False,
            )
            async with running(app):
                yield app

    def _believed(self, users: Users) -> Believed:
        return Believed(self._who, users)
