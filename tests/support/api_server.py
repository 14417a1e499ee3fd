"""The real gateway over the real tree, in a thread of the test's process."""

import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from actors.agents.health import Health
from actors.answerdesk import AnswerDesk
from actors.local import LocalTree, local_tree
from cartrita.auth.apikeys import KeyDesk
from cartrita.auth.identity import Identity, Rules
from cartrita.auth.keys import open_keys
from cartrita.auth.passwords import Argon2Profile, Passwords
from cartrita.auth.tokens import Tokens
from cartrita.catalog import Catalog
from cartrita.clock import SystemClock
from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.errors import AgentFailed
from cartrita.people.desk import Cupboard, PeopleDesk
from cartrita.providers.ports import ProbeReport, Probes
from cartrita.rate import Limiter
from cartrita.services import Services
from cartrita.storage.disk_blobs import DiskBlobs
from cartrita.storage.memory import InMemoryUsers
from cartrita.storage.memory_keys import InMemoryKeys
from cartrita.storage.memory_knowledge import InMemoryKnowledge
from cartrita.storage.memory_listing import InMemoryTasks
from cartrita.storage.memory_people import InMemoryDocuments, InMemoryPeople
from cartrita.storage.memory_threads import InMemoryConversations
from cartrita.storage.memory_uploads import InMemoryUploads
from cartrita.uploads import Uploads
from serve_apps.bridge.canary.desk import Books
from serve_apps.gateway.app import gateway
from serve_apps.gateway.gate import Gate
from serve_apps.gateway.quotas import Visitors
from tests.support.busy import Busy
from tests.support.fakes import FixedProbes
from tests.support.moves import books_in_memory, desk_without_v2
from tests.support.runtime import AuditOf, Bridge, Told, Ward, no_answers
from tests.support.vault import vault_of

ADMIN = ("admin@example.org", "correct horse battery")
HEALTHY = FixedProbes(ProbeReport("postgres", True, True, 1.0, "fine"))


class Nothing(Params):
    """Takes nothing."""


class Never(Result):
    """Is never given."""


class Unlucky(Agent, team="intelligence"):
    """Fails whenever it is asked."""

    @task("test.unlucky", idempotent=True, example={})
    async def fail(self, params: Nothing, ctx: Context) -> Never:
        """Fail."""
        raise AgentFailed("It could not be done.")


@dataclass(slots=True)
class Api:
    """What the tests may reach into."""

    folder: Path
    probes: FixedProbes = HEALTHY
    agents: tuple[type[Agent], ...] = (Health, Unlucky, Busy)
    ports: dict[Any, Any] = field(default_factory=dict)
    users: InMemoryUsers = field(default_factory=InMemoryUsers)
    trees: list[LocalTree] = field(default_factory=list)
    wards: list[Ward] = field(default_factory=list)
    bridge: Bridge = field(default_factory=Bridge)
    books: Books = field(default_factory=books_in_memory)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Gate]:
        """Open a tree and what the gateway needs of it."""
        clock, catalog = SystemClock(), Catalog.of(self.agents)
        keys, passwords = open_keys(self.folder / "keys"), Passwords(Argon2Profile(1, 8))
        rules = Rules(registration_open=True, revocation_ttl_s=0)
        desk = KeyDesk(InMemoryKeys(self.users), AuditOf(self.bridge), clock, 0)
        tokens = Tokens(keys, clock=clock)
        identity = Identity(self.users, tokens, passwords, clock, rules, keys=desk)
        await identity.ensure_admin(*ADMIN)
        services = Services({Probes: lambda _: self.probes, **self.ports})
        async with local_tree(catalog, services, self.folder) as tree:
            self.trees.append(tree)
            self.wards.append(Ward(tree.door))

            async def above():
                return tree.orchestrator.snapshot()

            blobs = DiskBlobs(self.folder / "blobs", clock, 1 << 20)
            yield Gate(
                tasks=Told(tree.door),
                identity=identity,
                keys=desk,
                people=PeopleDesk(
                    identity,
                    InMemoryPeople(self.users),
                    Cupboard(InMemoryDocuments(self.users), InMemoryConversations()),
                    clock,
                    86_400,
                ),
                limiter=Limiter(clock),
                visitors=Visitors(Limiter(clock), Limiter(clock)),
                jwks=keys.jwks,
                external=tree.external,
                clock=clock,
                started_at=clock.now(),
                version="test",
                above=above,
                listing=InMemoryTasks(tree.tables),
                blobs=blobs,
                blob_kinds=("application/octet-stream", "text/*", "image/png"),
                history=InMemoryConversations(),
                knowledge=InMemoryKnowledge(),
                uploads=Uploads(blobs, InMemoryUploads(), clock),
                quarantine=self.wards[-1],
                storyteller=tree.storyteller,
                effects=tree.effects,
                budgets=tree.budgets,
                retries=tree.retries,
                answers=AnswerDesk(no_answers(), tree.audit, clock, 30.0),
                approvals=tree.approvals,
                migration=desk_without_v2(clock, self.books),
                command=self.bridge.command,
                audit=self.bridge.audit,
                probes=self.probes,
                services_file=self.folder / "services.json",
                metrics_dir=None,
                docs=False,
                guests=False,
                vault=vault_of(self.users, self.bridge, clock),
            )
        passwords.close()

    def application(self):
        """Return the ASGI application."""
        return gateway(self.opened, max_body=1 << 20, show_docs=False)


@contextmanager
def short_folder() -> Iterator[Path]:
    """Give a folder whose sockets have short enough paths."""
    folder = Path(tempfile.mkdtemp(prefix="ct-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def serving(app) -> Iterator[str]:
    """Serve an application on a loopback port and give its address."""
    # Who connects before the server accepts waits in the backlog of this socket.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, lifespan="on", log_config=None, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@contextmanager
def api_server(probes: FixedProbes = HEALTHY) -> Iterator[str]:
    """Serve the whole API and give its address."""
    with api_and_inside(probes) as (url, _):
        yield url


@contextmanager
def api_and_inside(probes: FixedProbes = HEALTHY, **more: Any) -> Iterator[tuple[str, Api]]:
    """Serve the whole API and give its address and what tests may reach into."""
    with short_folder() as folder:
        inside = Api(folder, probes, **more)
        with serving(inside.application()) as url:
            yield url, inside


@asynccontextmanager
async def lifespan_of(app) -> AsyncIterator[None]:
    """Run an application's lifespan, as a server does."""
    import asyncio

    inbox: asyncio.Queue = asyncio.Queue()
    outbox: asyncio.Queue = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    running = asyncio.create_task(app(scope, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await asyncio.wait_for(outbox.get(), 10))["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(running, 10)
