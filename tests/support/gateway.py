"""The real gateway over the real tree in this process, and what its tests say of answers."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.types import ASGIApp

from actors.agents.health import Health
from actors.answerdesk import AnswerDesk
from actors.commands import Command
from actors.hosting import Limits
from actors.local import LocalTree, local_tree
from cartrita.answers import TieredAnswers
from cartrita.auth.apikeys import KeyDesk
from cartrita.auth.identity import Identity, Rules
from cartrita.auth.keys import CURRENT, KeyRing, open_keys
from cartrita.auth.passwords import Argon2Profile, Passwords
from cartrita.auth.tokens import Tokens
from cartrita.auth.v2_tokens import V2Tokens
from cartrita.catalog import Catalog
from cartrita.clock import Clock, ManualClock, SystemClock, iso
from cartrita.cost.budget import Defaults
from cartrita.declare import Agent
from cartrita.errors import ServiceUnavailable
from cartrita.external.registry import Registry
from cartrita.people.desk import Cupboard, PeopleDesk
from cartrita.providers.external import HttpAgents
from cartrita.providers.ports import ExternalAgents, ProbeReport, Probes
from cartrita.rate import Limiter, Quota
from cartrita.services import Services
from cartrita.spill import Sizes, Spill
from cartrita.storage.blobs import Blobs
from cartrita.storage.counters import Counters
from cartrita.storage.disk_blobs import DiskBlobs
from cartrita.storage.memory import InMemoryUsers
from cartrita.storage.memory_external import InMemoryRegistry
from cartrita.storage.memory_journal import JournalTables
from cartrita.storage.memory_keys import InMemoryKeys
from cartrita.storage.memory_knowledge import InMemoryKnowledge
from cartrita.storage.memory_listing import InMemoryTasks
from cartrita.storage.memory_people import InMemoryDocuments, InMemoryPeople
from cartrita.storage.memory_threads import InMemoryConversations
from cartrita.storage.memory_uploads import InMemoryUploads
from cartrita.storage.ports import Users
from cartrita.telemetry.span import Tracer
from cartrita.uploads import Uploads
from serve_apps.gateway.app import gateway
from serve_apps.gateway.gate import Gate
from serve_apps.gateway.quotas import Visitors
from tests.support.api_server import lifespan_of, serving, short_folder
from tests.support.busy import Busy
from tests.support.exercises import Bench, Latch
from tests.support.moves import desk_without_v2
from tests.support.runtime import AuditOf, Bridge, Told, Ward, no_answers
from tests.support.stage import Stage
from tests.support.vault import vault_of

ADMIN = ("admin@example.org", "correct horse battery")
PASSWORD = "a good long password"
MAX_BODY = 1 << 20


class SetProbes:
    """Reports what the test set, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked, self.defect = 0, None
        self.reports = (report("postgres"), report("redis", required=False))

    async def check(self) -> tuple[ProbeReport, ...]:
        self.asked += 1
        if self.defect:
            raise self.defect
        return self.reports


def report(name: str, *, ok: bool = True, required: bool = True) -> ProbeReport:
    return ProbeReport(name, ok, required, 1.0, "a detail that is nobody's business")


@lru_cache(maxsize=1)
def _pem() -> bytes:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass
class Stand:
    """What a gateway stands on. The gate's own clock is `clock`; all else lives in real time."""

    folder: Path
    limits: Limits = field(default_factory=Limits)
    registration: bool = True
    genuine: bool = False
    quotas: tuple[Quota | None, Quota | None] = (None, None)
    agents: tuple[type[Agent], ...] = ()
    ports: dict[Any, Any] = field(default_factory=dict)
    visitors: tuple[Quota | None, Quota | None] = (None, None)
    edge: bool = False
    stage: Stage = field(default_factory=Stage)
    clock: Clock = field(default_factory=ManualClock)
    users: Users = field(default_factory=InMemoryUsers)
    tables: JournalTables = field(default_factory=JournalTables)
    probes: Probes = field(default_factory=SetProbes)
    counters: Counters | None = None
    revocation_ttl: float = 0
    sizes: Sizes = field(default_factory=Sizes)
    room: int = 1 << 20
    bridge: Bridge = field(default_factory=Bridge)
    blobs: Blobs = field(init=False)
    said: InMemoryConversations = field(default_factory=InMemoryConversations)
    knowledge: InMemoryKnowledge = field(default_factory=InMemoryKnowledge)
    registry: Registry = field(default_factory=InMemoryRegistry)
    budgets: Defaults = field(default_factory=Defaults)
    tracer: Tracer | None = None
    guests: bool = False
    orphaned: bool = False
    exports: list[dict[str, str]] = field(default_factory=list)
    ray: dict[str, str] = field(default_factory=dict)
    kept: TieredAnswers = field(default_factory=no_answers)
    v2_tokens: V2Tokens | None = None
    latch: Latch = field(init=False)
    tree: LocalTree = field(init=False)
    told: Told = field(init=False)
    ward: Ward = field(init=False)
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = DiskBlobs(self.folder / "blobs", SystemClock(), self.room)
        self.uploads = Uploads(self.blobs, InMemoryUploads(), self.clock)
        keys = self.folder / "keys"
        keys.mkdir()
        (keys / CURRENT).write_bytes(_pem())
        self.keys: KeyRing = open_keys(keys)

    @property
    def services_file(self) -> Path:
        return self.folder / "services.json"

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Gate]:
        """Open a tree and what the gateway needs of it."""
        self.latch = Latch()
        catalog, passwords = (
            Catalog.of([Health, Bench, Busy, *self.agents]),
            Passwords(Argon2Profile(1, 8)),
        )
        rules = Rules(registration_open=self.registration, revocation_ttl_s=self.revocation_ttl)
        clock = SystemClock()
        desk = KeyDesk(self.api_keys(), AuditOf(self.bridge), clock, self.revocation_ttl)
        tokens = Tokens(self.keys)
        self.identity = Identity(
            self.users, tokens, passwords, clock, rules, self.v2_tokens, keys=desk
        )
        await self.identity.ensure_admin(*ADMIN)
        given = {Probes: self.probes, Latch: self.latch, Stage: self.stage, **self.ports}
        services = Services(
            {
                **{port: lambda _, it=it: it for port, it in given.items()},
                ExternalAgents: lambda _: HttpAgents(self.registry, SystemClock()),
            }
        )
        limiter = Limiter(clock, *self.quotas, self.counters)
        visitors = Visitors(
            *(Limiter(clock, quota) for quota in self.visitors), behind_edge=self.edge
        )
        async with self.grown(catalog, services, limiter) as self.tree:
            self.told, self.ward = Told(self.tree.door), Ward(self.tree.door)
            self.keystore = vault_of(self.users, self.bridge, self.clock)
            yield Gate(
                tasks=self.told,
                identity=self.identity,
                keys=desk,
                people=self.people(),
                limiter=limiter,
                visitors=visitors,
                jwks=self.keys.jwks,
                external=self.tree.external,
                clock=self.clock,
                started_at=self.clock.now(),
                version="3.0.0-test",
                above=self.above,
                listing=self.listing(),
                blobs=self.blobs,
                blob_kinds=("application/octet-stream", "text/*", "image/png"),
                history=self.said,
                knowledge=self.knowledge,
                uploads=self.uploads,
                quarantine=self.tree.quarantine if self.genuine else self.ward,
                storyteller=self.tree.storyteller,
                effects=self.tree.effects,
                approvals=self.tree.approvals,
                budgets=self.tree.budgets,
                migration=desk_without_v2(self.clock),
                retries=self.tree.retries,
                answers=AnswerDesk(self.kept, self.tree.audit, SystemClock(), 30.0),
                command=self.command if self.genuine else self.bridge.command,
                audit=self.audit if self.genuine else self.bridge.audit,
                probes=self.probes,
                services_file=self.services_file,
                metrics_dir=None,
                docs=True,
                guests=self.guests,
                vault=self.keystore,
            )
        await limiter.close()
        await visitors.close()
        passwords.close()

    def people(self):
        documents = InMemoryDocuments(self.users)
        kept = Cupboard(documents, self.said)
        self.accounts = InMemoryPeople(self.users, documents)
        return PeopleDesk(self.identity, self.accounts, kept, SystemClock(), 86_400)

    def api_keys(self):
        return InMemoryKeys(self.users)

    def grown(self, catalog, services, limiter):
        """Run the tree."""
        return local_tree(
            catalog,
            services,
            self.folder,
            limits=self.limits,
            tables=self.tables,
            limiter=limiter,
            spill=Spill(self.blobs, self.sizes),
            registry=self.registry,
            budgets=self.budgets,
            tracer=self.tracer,
        )

    def listing(self):
        return InMemoryTasks(self.tables)

    async def above(self):
        """Tell of the orchestrator what its actor tells on Ray."""
        if self.orphaned:
            raise ServiceUnavailable("There is no orchestrator.")
        me = {"pid": 11, "node": "local", "epoch": 1, "restarts": 0}
        told = {"buildId": "test", "exports": self.exports, **self.ray}
        return {**self.tree.orchestrator.snapshot(), **me, **told}

    async def command(self, command, target, arguments, who):
        """Do what the orchestrator's actor does on Ray."""
        return await self.tree.operations.carry_out(Command(command, target, arguments, who.user))

    async def audit(self, limit, before):
        """Read the record as a replica does."""
        entries = await self.tree.audit.entries(limit, before)
        return [{**asdict(entry), "at": iso(entry.at)} for entry in entries]

    def application(self, **options):
        return gateway(self.opened, **{"max_body": MAX_BODY, **options})


@dataclass
class Api:
    """A running gateway, as its tests use it."""

    stand: Stand
    http: httpx.AsyncClient
    app: ASGIApp

    async def user(self, email: str) -> dict[str, str]:
        """Make an account and return the header that speaks for it."""
        return as_header((await self.stand.identity.register(email, PASSWORD)).token)

    async def admin(self) -> dict[str, str]:
        return as_header((await self.stand.identity.login(*ADMIN)).token)

    async def run(self, task_type="system.echo", parameters=None, *, who, headers=None, **fields):
        """Submit a task."""
        if parameters is None:
            parameters = {"payload": "hello"} if task_type == "system.echo" else {}
        body = {"taskType": task_type, "parameters": parameters, **fields}
        return await self.http.post("/v3/tasks", json=body, headers={**who, **(headers or {})})

    async def send(self, body: bytes, who: dict[str, str], **headers: str) -> httpx.Response:
        """Submit these bytes as a task."""
        told = {"content-type": "application/json", **who}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post("/v3/tasks", content=body, headers=told)


def as_header(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def running_gateway(  # noqa: PLR0913 - each is for some tests
    limits: Limits | None = None,
    *,
    registration: bool = True,
    genuine: bool = False,
    quotas: tuple[Quota | None, Quota | None] = (None, None),
    agents: tuple[type[Agent], ...] = (),
    room: int = 1 << 20,
    budgets: Defaults | None = None,
    **options,
) -> AsyncIterator[Api]:
    """Run the application in this loop and give a client of it.

    With `genuine` the tree itself quarantines and takes commands, else the test's stand-ins do.
    """
    with short_folder() as folder:
        stand = Stand(
            folder, limits or Limits(), registration, genuine, quotas, agents, room=room,
            budgets=budgets or Defaults(),
        )  # fmt: skip
        async with spoken_to(stand, **options) as api:
            yield api


@asynccontextmanager
async def spoken_to(stand: Stand, **options) -> AsyncIterator[Api]:
    """Run the application over a stand and give a client of it."""
    app = stand.application(**options)
    transport = httpx.ASGITransport(app)
    async with (
        lifespan_of(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://cartrita.test", timeout=20
        ) as client,
    ):
        yield Api(stand, client, app)


@contextmanager
def serving_gateway(**options) -> Iterator[str]:
    """Serve the application with uvicorn on a loopback port and give its address."""
    with short_folder() as folder, serving(Stand(folder).application(**options)) as url:
        yield url


def assert_problem(answer: httpx.Response, status: int, code: str, *fields: str) -> dict:
    """Check everything that all refusals have in common, and return the document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:cartrita:problem:{code.lower().replace('_', '-')}"
    assert body["title"]
    assert body["detail"]
    assert isinstance(body["retryable"], bool)
    assert re.fullmatch("[0-9a-f]{32}", body["traceId"])
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    assert [item["field"] for item in body.get("errors", [])] == list(fields)
    assert all(item["message"] for item in body.get("errors", []))
    assert_headers(answer)
    return body


def assert_headers(answer: httpx.Response) -> None:
    """Check the headers that every answer has."""
    assert answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"]
