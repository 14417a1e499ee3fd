"""Seals values with AES-256-GCM, each for one place only."""

import base64
import hmac
import os
import secrets
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cartrita.errors import ConfigurationInvalid, InternalFailure
from cartrita.storage.vault import Sealed

BYTES = 32
NONCE = 12
"""Bytes, as NIST SP 800-38D wants; random, so one master key is good for 2^32 values."""

SEAL_BROKEN = "SEAL_BROKEN"
MASTER_MISSING = "MASTER_KEY_MISSING"
FILE = "current.key"


def place(owner: str | None, key_id: str, number: int) -> bytes:
    """Return what binds a value to where it is: sealed for there, it opens nowhere else."""
    return f"cartrita vault 1|{owner or 'instance'}|{key_id}|{number}".encode()


class Seal:
    """One master key that seals, and those from before that still open.

    Args:
        current: 32 bytes.
        previous: The same.
    """

    def __init__(self, current: bytes, previous: Sequence[bytes] = ()) -> None:
        self.id = _id(current)
        self._ciphers = {_id(key): AESGCM(_derived(key, b"seal")) for key in (current, *previous)}
        self._marks = _derived(current, b"checksum")

    def close(self, text: str, bound: bytes) -> Sealed:
        """Seal a text for one place."""
        nonce = os.urandom(NONCE)
        return Sealed(self.id, nonce, self._ciphers[self.id].encrypt(nonce, text.encode(), bound))

    def open(self, sealed: Sealed, bound: bytes) -> str:
        """Return the text that was sealed for this place.

        Raises:
            ConfigurationInvalid: Its master key is not set.
            InternalFailure: It was changed, or sealed for another place (`SEAL_BROKEN`).
        """
        cipher = self._ciphers.get(sealed.master)
        if cipher is None:
            raise ConfigurationInvalid(
                "This was sealed with a master key that is not set: name it in "
                "CARTRITA_KEYSTORE__PREVIOUS_KEYS.",
                MASTER_MISSING,
            )
        try:
            return cipher.decrypt(sealed.nonce, sealed.box, bound).decode()
        except (InvalidTag, ValueError):
            raise InternalFailure(
                "A sealed value was changed or moved, and does not open.", SEAL_BROKEN
            ) from None

    def stale(self, sealed: Sealed) -> bool:
        """Tell whether it is to be sealed anew, with the master key of now."""
        return sealed.master != self.id

    def checksum(self, text: str) -> str:
        """Return what tells values apart, and tells nothing to who lacks the master key."""
        return hmac.new(self._marks, text.encode(), sha256).hexdigest()[:16]


def _id(key: bytes) -> str:
    return _derived(key, b"id")[:8].hex()


def _derived(key: bytes, purpose: bytes) -> bytes:
    info = b"cartrita vault " + purpose
    return HKDF(algorithm=SHA256(), length=BYTES, salt=None, info=info).derive(key)


def key_of(text: str, setting: str) -> bytes:
    """Return a master key that is written in base64 or hexadecimal.

    Raises:
        ConfigurationInvalid: It is not 32 bytes, or nobody drew it at random.
    """
    plain, found = text.strip(), b""
    with suppress(ValueError):
        if len(plain) == 2 * BYTES:
            found = bytes.fromhex(plain)
        else:
            found = base64.urlsafe_b64decode(
                plain.rstrip("=").replace("+", "-").replace("/", "_") + "="
            )
    if len(found) != BYTES or len(set(found)) < BYTES // 4:
        raise ConfigurationInvalid(
            f"{setting} takes 32 random bytes in base64 or hexadecimal: `openssl rand -base64 32`.",
            fields=[(setting, "takes 32 random bytes")],
        )
    return found


def made_in(folder: Path) -> bytes:
    """Return the master key in a folder, a first one made where there is none.

    Safe to call from several processes at once: they end up with the same key.

    Raises:
        ConfigurationInvalid: The file holds none, or others may read it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / FILE
    if not file.is_file():
        _make(folder, file)
    try:
        mode, text = file.stat().st_mode, file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationInvalid(f"Cannot read the master key in {str(file)!r}.") from None
    if mode & 0o077:
        raise ConfigurationInvalid(f"Others may read {str(file)!r}: chmod 600 it.")
    return key_of(text, str(file))


def _make(folder: Path, file: Path) -> None:
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".key")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as draft:
            draft.write(base64.urlsafe_b64encode(secrets.token_bytes(BYTES)).decode())
            draft.flush()
            os.fsync(draft.fileno())
        with suppress(FileExistsError):  # where another process is first, its key is as good
            os.link(name, file)
        _sync(folder)
    finally:
        Path(name).unlink()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
