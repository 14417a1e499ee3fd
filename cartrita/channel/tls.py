"""Mutual TLS for channels between nodes."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cartrita.errors import ConfigurationInvalid

OTHERS = 0o077
"""What a key's mode must not allow its group and everybody else."""

_OF_CERTIFICATES = ("CERTIFICATE_VERIFY_FAILED", "PEER_DID_NOT_RETURN_A_CERTIFICATE")


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM files by which a node shows who it is and judges others.

    Attributes:
        ca: The authorities whose certificates are accepted.
        cert: This node's certificate, followed by those between it and the authority.
        key: The certificate's key, without a passphrase, for its owner's eyes only.
    """

    ca: Path
    cert: Path
    key: Path


class _Outspoken(ssl.SSLObject):
    """A server's end that tells a client why its certificate is refused.

    asyncio hangs up without sending the alert that OpenSSL has written for the client, who would
    read "connection reset by peer". It does send what lies ready while a handshake goes on, so
    the error is raised one step later: when the client, who reads the alert or has sent its
    HELLO by then, is heard or has left.
    """

    _refusal: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Take a step of the handshake (asyncio calls this)."""
        if self._refusal:
            raise self._refusal
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if error.reason not in _OF_CERTIFICATES:
                raise
            self._refusal = error
            raise ssl.SSLWantReadError from error


def check_private(tls: ssl.SSLContext | None, *, plain_tcp: bool) -> None:
    """Let a connection leave this machine with TLS only, unless a setting says otherwise.

    Raises:
        ConfigurationInvalid: There is neither; the message names the settings.
    """
    if tls is None and not plain_tcp:
        raise ConfigurationInvalid(
            "A channel over TCP needs TLS: set channel.ca, channel.cert and channel.key, which "
            "`cartrita certs` makes. channel.plain_tcp (CARTRITA_CHANNEL__PLAIN_TCP=true) does "
            "without, on a network you trust."
        )


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """Return how a server listens: TLS 1.3, and no client without a certificate.

    Raises:
        ConfigurationInvalid: A file is missing or wrong; the message names its setting.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.sslobject_class = _Outspoken
    context.num_tickets = 0  # channels live long and are never resumed
    return _furnished(context, credentials)


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """Return how a client connects: TLS 1.3, to who has the address among its certificate's names.

    Names are read in `subjectAltName` only. The handshake ends for a client before the server
    has judged the client's certificate: only a WELCOME means connected.

    Raises:
        ConfigurationInvalid: A file is missing or wrong; the message names its setting.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificate and name
    context.hostname_checks_common_name = False
    return _furnished(context, credentials)


def _furnished(context: ssl.SSLContext, credentials: Credentials) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _read("ca", credentials.ca, context.load_verify_locations)
    # A scratch context tells a bad certificate from a bad key, which have one error below.
    _read("cert", credentials.cert, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations)
    _check_mode(credentials.key)
    try:
        context.load_cert_chain(credentials.cert, credentials.key, password=_no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _wrong("key", credentials.key, "is not the key of channel.cert") from None
        raise _wrong("key", credentials.key, "is no PEM key") from None
    return context


def _read(name: str, path: Path, load: Callable[[Path], None]) -> None:
    try:
        load(path)
    except ssl.SSLError:
        raise _wrong(name, path, "holds no PEM certificate") from None
    except OSError as error:
        raise _wrong(name, path, f"cannot be read: {error.strerror}") from None


def _check_mode(path: Path) -> None:
    try:
        path.open("rb").close()
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise _wrong("key", path, f"cannot be read: {error.strerror}") from None
    if mode & OTHERS:
        raise _wrong("key", path, f"is open to others (mode {mode:o}): chmod 600 it")


def _no_passphrase() -> NoReturn:
    """Stand in for OpenSSL's question at the terminal, which nobody would answer."""
    raise ConfigurationInvalid(
        "The key that channel.key names has a passphrase; write it without one."
    )


def _wrong(name: str, path: Path, what: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"channel.{name} names {str(path)!r}, which {what}.")
