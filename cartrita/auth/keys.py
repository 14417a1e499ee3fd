"""The RSA keys that sign access tokens, and the files they live in."""

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from cartrita.clock import Clock, SystemClock
from cartrita.errors import ConfigurationInvalid

BITS = 2048
CURRENT, PREVIOUS = "current.pem", "previous.pem"
RECHECK = 5.0
"""Seconds after which another process's rotation is noticed at the latest."""

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One RSA key; its id is the RFC 7638 thumbprint of its public half."""

    id: str
    private: RSAPrivateKey

    def jwk(self) -> dict[str, str]:
        """Return the public half, as a JWK Set lists it."""
        return {**_jwk(self.private.public_key()), "kid": self.id, "use": "sig", "alg": "RS256"}


class KeyRing:
    """The key that signs and the one before it, re-read when their files change.

    Args:
        path: A PEM file, or a folder with `current.pem` and perhaps `previous.pem`.
        clock: When to look at the files again.

    Raises:
        ConfigurationInvalid: There is no RSA key of at least 2048 bits.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._files = (path / CURRENT, path / PREVIOUS) if path.is_dir() else (path,)
        self._stamp = self._look()
        self._keys = self._read()
        self._checked = self._clock.monotonic()
        self._generation = 0

    @property
    def generation(self) -> int:
        """Grows when the keys change: what was verified before is to be verified again."""
        self._refresh()
        return self._generation

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        self._refresh()
        return self._keys[0]

    def find(self, key_id: str) -> SigningKey | None:
        """Return the live key with that id; an unknown one makes us look at the files."""
        self._refresh()
        found = self._find(key_id)
        if found is None:
            self._refresh(at_once=True)
            found = self._find(key_id)
        return found

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public halves as a JWK Set (RFC 7517)."""
        self._refresh()
        return {"keys": [key.jwk() for key in self._keys]}

    def _find(self, key_id: str) -> SigningKey | None:
        return next((key for key in self._keys if key.id == key_id), None)

    def _refresh(self, *, at_once: bool = False) -> None:
        now = self._clock.monotonic()
        if not at_once and now - self._checked < RECHECK:
            return
        self._checked = now
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            self._keys = self._read()
        except ConfigurationInvalid:
            return  # Half-way through somebody's change: the keys we hold still serve.
        self._stamp = stamp
        self._generation += 1

    def _look(self) -> Stamp:
        return tuple(_stamp(path) for path in self._files)

    def _read(self) -> tuple[SigningKey, ...]:
        first, *others = self._files
        keys = [_load(first)] + [_load(path) for path in others if path.is_file()]
        return tuple({key.id: key for key in keys}.values())


def open_keys(folder: Path, clock: Clock | None = None) -> KeyRing:
    """Return the keys in `folder`, with a first one made where there is none.

    Safe to call from several processes at once: they end up with the same key.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / CURRENT).is_file():
        # Where another process is first, its key is as good.
        with _new_file(folder) as made, suppress(FileExistsError):
            os.link(made, folder / CURRENT)
    return KeyRing(folder, clock)


def rotate(folder: Path) -> None:
    """Put a new key in front; the one before it goes on verifying until the next rotation.

    Every process with a `KeyRing` on this folder notices within `RECHECK` seconds.
    """
    if not (folder / CURRENT).is_file():
        raise ConfigurationInvalid(f"There is no {CURRENT!r} to rotate in {str(folder)!r}.")
    with _new_file(folder) as made, tempfile.TemporaryDirectory(dir=folder) as aside:
        os.link(folder / CURRENT, Path(aside) / PREVIOUS)
        (Path(aside) / PREVIOUS).replace(folder / PREVIOUS)
        os.link(made, Path(aside) / CURRENT)
        (Path(aside) / CURRENT).replace(folder / CURRENT)


@contextmanager
def _new_file(folder: Path) -> Iterator[Path]:
    """Give a complete, durable, private PEM file, which is removed under this name."""
    key = generate_private_key(public_exponent=65537, key_size=BITS)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".pem")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
        _sync_folder(folder)
    finally:
        Path(name).unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _load(path: Path) -> SigningKey:
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not a plain PEM private key"
        raise ConfigurationInvalid(f"Cannot read the key {str(path)!r}: {cause}.") from None
    if not isinstance(private, RSAPrivateKey) or private.key_size < BITS:
        raise ConfigurationInvalid(f"{str(path)!r} is not an RSA key of {BITS} bits or more.")
    return SigningKey(thumbprint(private.public_key()), private)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def thumbprint(public: RSAPublicKey) -> str:
    """Return the RFC 7638 thumbprint of a key."""
    canonical = json.dumps(_jwk(public), sort_keys=True, separators=(",", ":"))
    return _text(hashlib.sha256(canonical.encode()).digest())


def _jwk(public: RSAPublicKey) -> dict[str, str]:
    numbers = public.public_numbers()
    parts = {"n": numbers.n, "e": numbers.e}
    sized = {name: part.to_bytes((part.bit_length() + 7) // 8) for name, part in parts.items()}
    return {"kty": "RSA", **{name: _text(raw) for name, raw in sized.items()}}


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
