"""Reads secrets out of HashiCorp Vault or OpenBao (KV engine, version 2)."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from cartrita.errors import ConfigurationInvalid, MissingExtra, ServiceUnavailable

T = TypeVar("T")

PAUSE = 0.2
"""Seconds before the second try; each one after it waits twice as long."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where secrets are, and how we come in.

    Attributes:
        ca: PEM file of the authorities to trust; None for the usual ones.
        timeout: Seconds for everything that is read at once, tries included.
        token_path: File whose text is the token, read anew every time.
        role: Id and secret of an AppRole.
    """

    url: str
    mount: str = "secret"
    prefix: str = ""
    namespace: str | None = None
    ca: Path | None = None
    timeout: float = 10.0
    tries: int = 3
    token: str | None = field(default=None, repr=False)
    token_path: Path | None = None
    role: tuple[str, str] | None = field(default=None, repr=False)
    role_mount: str = "approle"


class HashicorpVault:
    """A vault; every reading signs in anew, so that a token that ended matters to none.

    Args:
        server: Where it is.

    Raises:
        MissingExtra: The library that speaks to it is not installed.
    """

    def __init__(self, server: Server) -> None:
        try:
            import hvac  # noqa: PLC0415
            import requests  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtra(
                "Secrets in a vault need another package: pip install 'cartrita[vault]'."
            ) from error
        self._server, self._hvac, self._requests = server, hvac, requests

    def read(self, paths: list[str]) -> dict[str, dict[str, Any]]:
        """Return the newest version of the secrets at these paths.

        Raises:
            ConfigurationInvalid: We may not come in or read one, or there is none.
            ServiceUnavailable: It is sealed, away, or too slow.
        """
        return self._bounded(lambda client: self._all(client, paths))

    def _all(self, client: Any, paths: list[str]) -> dict[str, dict[str, Any]]:
        found = {path: self._secret(client, path) for path in paths}
        if self._server.token is not None:
            # It lives on, where it can. One without an end cannot, which is no error.
            with suppress(self._hvac.exceptions.VaultError, self._requests.RequestException):
                client.auth.token.renew_self()
        return found

    def _bounded(self, work: Callable[[Any], T]) -> T:
        """Do what talks to the server, for no longer than it may take.

        The library bounds each silence, and not the whole: a server that drips would hold us.
        """
        done: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            try:
                with self._requests.Session() as session:
                    done.put((work(self._client(session)), None))
            except BaseException as error:  # noqa: BLE001 - raised by who waits
                done.put((None, error))

        Thread(target=run, name="vault", daemon=True).start()
        try:
            found, error = done.get(timeout=self._server.timeout)
        except Empty:
            raise ServiceUnavailable(
                f"The vault at {self._server.url!r} did not answer within "
                f"{self._server.timeout:g} s (vault.timeout_s).",
                retry_after=2,
            ) from None
        if error is not None:
            raise error
        return found  # type: ignore[return-value]

    def _client(self, session: Any) -> Any:
        server = self._server
        # Neither proxies nor a token of the person at the terminal.
        session.trust_env = False
        session.verify = str(server.ca) if server.ca else True
        client = self._hvac.Client(
            url=server.url,
            token="",
            verify=session.verify,
            timeout=server.timeout,
            allow_redirects=False,  # another host would be given the token
            session=session,
            namespace=server.namespace,
        )
        if server.role is not None:
            role, secret = server.role
            self._asked(
                "vault.role_id and vault.secret_id are",
                lambda: client.auth.approle.login(role, secret, mount_point=server.role_mount),
            )
        else:
            client.token = self._token()
        return client

    def _token(self) -> str:
        server = self._server
        if server.token_path is not None:
            try:
                return server.token_path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                raise ConfigurationInvalid(
                    f"Cannot read the vault's token in {str(server.token_path)!r}, which "
                    "vault.token_path names."
                ) from None
        if server.token is None:
            raise ConfigurationInvalid(
                "Nothing opens the vault: set CARTRITA_VAULT__TOKEN, CARTRITA_VAULT__TOKEN_PATH, "
                "or CARTRITA_VAULT__ROLE_ID and CARTRITA_VAULT__SECRET_ID."
            )
        return server.token

    def _secret(self, client: Any, path: str) -> dict[str, Any]:
        whole = f"{self._server.prefix.rstrip('/')}/{path}".strip("/")
        answer = self._asked(
            f"what it was given may not read {self._server.mount}/data/{whole}: it is",
            lambda: client.secrets.kv.v2.read_secret_version(
                path=whole, mount_point=self._server.mount, raise_on_deleted_version=True
            ),
            missing=f"The vault has no secret {self._server.mount}/{whole}, or it was deleted.",
        )
        data = answer.get("data") if isinstance(answer, dict) else None
        found = data.get("data") if isinstance(data, dict) else None
        if not isinstance(found, dict):
            raise ConfigurationInvalid(
                f"{self._server.url!r} does not answer as a vault's KV engine of version 2 does "
                "(vault.url, vault.mount); a node that redirects is not the active one."
            )
        return found

    def _asked(self, what: str, ask: Callable[[], T], missing: str = "") -> T:
        """Ask once, and again where that may help; words of ours for what went wrong."""
        errors, tries = self._hvac.exceptions, self._server.tries
        for attempt in range(1, tries + 1):
            try:
                return ask()
            except (errors.Forbidden, errors.Unauthorized, errors.InvalidRequest):
                raise ConfigurationInvalid(
                    f"The vault at {self._server.url!r} refuses: {what} not accepted."
                ) from None
            except errors.InvalidPath:
                said = missing or f"The vault at {self._server.url!r} refuses: {what} unknown."
                raise ConfigurationInvalid(said) from None
            except (errors.VaultError, self._requests.RequestException, ValueError) as error:
                if attempt == tries or isinstance(error, errors.VaultNotInitialized):
                    raise self._away(error) from None
            time.sleep(PAUSE * 2 ** (attempt - 1))
        raise AssertionError

    def _away(self, error: Exception) -> ServiceUnavailable:
        url, errors = self._server.url, self._hvac.exceptions
        if isinstance(error, errors.VaultDown):
            said = "is sealed, or in maintenance"
        elif isinstance(error, errors.RateLimitExceeded):
            said = "has too much to do"
        else:
            said = f"cannot be read from ({type(error).__name__})"
        return ServiceUnavailable(f"The vault at {url!r} {said}.", retry_after=2)
