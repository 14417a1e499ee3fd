"""Finds the API and signs in to it."""

import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cartrita.cli.edge_certificate import authority_of
from cartrita.cli.options import Options
from cartrita.cli.session_file import FileSessions
from cartrita.client import AsyncClient, Client
from cartrita.client.transport import loopback
from cartrita.config.kinds import text_of
from cartrita.config.load import given_token, load_settings
from cartrita.config.settings import Settings
from cartrita.errors import ServiceUnavailable
from cartrita.instance import InstanceState, paths_of, running
from cartrita.openers.vault import PROVIDERS, resolved
from cartrita.protocol.principal import is_key

PATIENCE = 86_400.0
"""Seconds; a task ends by its own timeout, and people by Ctrl-C."""

RETRIES = 5
"""Failures in a row, three seconds in all: a person waits."""

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it listens, for us to reach


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command goes.

    Attributes:
        own: Whether that is the instance of this home.
        state: What its owner wrote down; None where none runs.
    """

    url: str
    own: bool
    settings: Settings
    state: InstanceState | None

    @property
    def home(self) -> Path:
        """Where its session is kept."""
        return paths_of(self.settings).home

    @property
    def ca(self) -> Path | None:
        """Whom to trust beside the system's authorities."""
        server = self.settings.server
        made = authority_of(paths_of(self.settings))
        return server.tls_ca or (made if self.own and server.tls_self_made else None)


def find(options: Options) -> Place:
    """Return where the options and settings lead."""
    settings = load_settings(options.overrides)
    state = running(paths_of(settings))
    own = (state.urls.get("api") if state else None) or _configured(settings)
    url = (options.url or own).rstrip("/")
    return Place(url, url == own.rstrip("/"), settings, state)


def _configured(settings: Settings) -> str:
    server = settings.server
    host = _ANYWHERE.get(server.host, server.host)
    scheme = "https" if server.secure else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"


def connect(options: Options, timeout: float = PATIENCE, retries: int = RETRIES) -> Client:
    """Return a client that is, or can be, signed in.

    Args:
        options: Where to.
        timeout: Seconds a call waits, repeats included.
        retries: Failures in a row that are repeated.

    Raises:
        ServiceUnavailable: This home's instance is meant, and none runs.
    """
    place = reachable(options)
    return Client(place.url, timeout=timeout, retries=retries, **_session(place))


def connect_async(options: Options, retries: int) -> AsyncClient:
    """Return a client for an event loop; raises as `connect` does."""
    place = reachable(options)
    return AsyncClient(place.url, timeout=PATIENCE, retries=retries, **_session(place))


def reachable(options: Options) -> Place:
    """Return where the options and settings lead.

    Raises:
        ServiceUnavailable: This home's instance is meant, and none runs.
    """
    place = find(options)
    if options.url is None and place.settings.embedded and place.state is None:
        raise ServiceUnavailable(
            f"No instance runs in {str(place.home)!r}: start one with `cartrita up`, or name "
            "another with --url."
        )
    return place


def _session(place: Place) -> dict[str, Any]:
    token = given_token()
    # Who gave a key wants its rights and no others, also when it is revoked.
    credentials = None if token and is_key(token) else _credentials(place)
    email, password = credentials or (None, None)
    return {
        "token": token,
        "email": email,
        "password": password,
        "sessions": sessions_of(place),
        "ca": place.ca,
    }


def sessions_of(place: Place) -> FileSessions:
    """Return where the session of a place is kept; each address has its own."""
    digest = blake2b(place.url.encode(), digest_size=6).hexdigest()
    return FileSessions(place.home / ("session.json" if place.own else f"session-{digest}.json"))


def _credentials(place: Place) -> tuple[str, str] | None:
    """Return the administrator's credentials, which are for this machine only."""
    if not loopback(place.url):
        return None
    admin = place.settings.admin
    if admin.password:
        password = resolved(place.settings, PROVIDERS).admin.password
        return admin.email, text_of(password) or ""
    try:
        stored = json.loads((place.home / "admin.json").read_text())
        return str(stored["email"]), str(stored["password"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
