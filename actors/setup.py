"""What every process of an instance is told, and how they reach each other."""

import hashlib
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from actors import spawn
from actors.fleet import Rules
from actors.slot import Pulse
from cartrita import __version__
from cartrita.catalog import Catalog, discover
from cartrita.channel.address import Address, Endpoints
from cartrita.channel.client import Channel, connect
from cartrita.channel.server import ChannelServer
from cartrita.channel.tls import Credentials, client_context, server_context
from cartrita.config.settings import Settings
from cartrita.declare import TEAMS, Team
from cartrita.errors import ServiceUnavailable
from cartrita.storage.runtime import Keep

CHAOS = "cartrita.chaos.agent"
"""Loaded where the settings want it: its task has an effect that a chaos run counts."""
DAY = 86_400.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class TreeConfig:
    """What every actor of one instance is told. Travels through Ray, so it may hold secrets.

    Attributes:
        run: One life of the instance; restarts are counted within it.
        runtime_dir: A short private folder for sockets.
        metrics_dir: Where the processes of a node share their metrics.
        token: What the channels ask for.
        build: The code that was deployed. Told once rather than computed by each actor: a
            checkout may change under a running tree.
    """

    settings: Settings
    run: str
    build: str
    runtime_dir: Path
    metrics_dir: Path
    token: str

    @property
    def namespace(self) -> str:
        """The Ray namespace: the instance's name."""
        return self.settings.instance

    @property
    def needs(self) -> spawn.Needs:
        """What every actor's process is given: one thread for numeric code, shared metrics."""
        threads = tuple((name, "1") for name in _THREADS)
        metrics = ("PROMETHEUS_MULTIPROC_DIR", str(self.metrics_dir))
        # LangChain would send what it runs elsewhere, if a variable of the user's says so.
        return spawn.Needs(environment=(*threads, metrics, ("LANGSMITH_TRACING", "false")))

    @property
    def shards(self) -> dict[Team, int]:
        """How many supervisors each team starts with."""
        return dict.fromkeys(TEAMS, self.settings.supervision.shards)

    @property
    def keep(self) -> Keep:
        """How long ended tasks are kept."""
        chosen = self.settings.retention
        days = (chosen.streams_days, chosen.events_days, chosen.tasks_days)
        return Keep(*(number * DAY for number in days))

    def rules(self, team: Team) -> Rules:
        """Return how the fleets of a team behave."""
        chosen = self.settings.supervision
        pulse = Pulse(chosen.heartbeat_s, chosen.wedged_after_s)
        return Rules(getattr(chosen, team), pulse, chosen.shrink_after_s)


class Network:
    """How this process listens, and reaches the others of its instance."""

    def __init__(self, config: TreeConfig) -> None:
        self._folder, self._settings = config.runtime_dir, config.settings.channel
        self._node = spawn.node()
        self._client: ssl.SSLContext | None = None

    def _credentials(self) -> Credentials | None:
        chosen = self._settings
        if chosen.plain_tcp or not (chosen.ca and chosen.cert and chosen.key):
            return None
        return Credentials(chosen.ca, chosen.cert, chosen.key)

    async def listen(self, server: ChannelServer, name: str) -> str:
        """Listen on a Unix socket, and on TCP where the settings ask for it; returns where."""
        digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
        local = await server.start(Address.unix(self._folder / f"{digest}.sock"))
        if not self._settings.tcp:
            return str(Endpoints(local, self._node))
        credentials = self._credentials()
        remote = await server.start(
            Address(host=self._settings.host or spawn.address()),
            tls=server_context(credentials) if credentials else None,
            plain_tcp=self._settings.plain_tcp,
        )
        return str(Endpoints(local, self._node, remote))

    async def connect(self, address: str, *, token: str, peer: str, epoch: int = 0) -> Channel:
        """Open a channel to where another process of the instance listens.

        Raises:
            ConfigurationInvalid: It is on another node, and the settings keep us from it.
        """
        chosen = Endpoints.parse(address).pick(self._node)
        if not chosen.path and self._client is None:
            credentials = self._credentials()
            self._client = client_context(credentials) if credentials else None
        return await connect(
            chosen,
            token=token,
            peer=peer,
            epoch=epoch,
            tls=None if chosen.path else self._client,
            plain_tcp=self._settings.plain_tcp,
        )


@lru_cache(maxsize=1)
def build_id() -> str:
    """Return the version and a digest of the code that runs."""
    digest = hashlib.blake2b(digest_size=6)
    top = Path(__file__).parent.parent
    for package in ("cartrita", "actors", "serve_apps"):
        for file in sorted((top / package).rglob("*.py")):
            digest.update(file.read_bytes())
    return f"{__version__}+{digest.hexdigest()}"


def catalog(settings: Settings) -> Catalog:
    """Return every declared agent and task."""
    return _discovered(CHAOS) if settings.chaos.sink else _discovered()


@lru_cache(maxsize=2)
def _discovered(*more: str) -> Catalog:
    return discover(AGENTS, *more)


def postgres_url(settings: Settings) -> str:
    """Return the address of the database.

    Raises:
        ServiceUnavailable: The settings name none.
    """
    url = settings.postgres.dsn
    if url is None:
        raise ServiceUnavailable("No Postgres is named: set CARTRITA_POSTGRES__URL.")
    return url.get_secret_value()
