"""Turns passwords into hashes and compares them, off the event loop.

Hashes are argon2id's. Those that v2 made are bcrypt's: they are compared, never made, and
`outdated`, so that the first sign-in replaces them.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cartrita.errors import InvalidParameters, ServiceUnavailable

SHORTEST, LONGEST = 8, 256
V2_LONGEST = 72
"""Bytes that bcrypt looks at; v2's cut off the others in silence."""

PATIENCE = 30.0
"""Seconds after which waiting for a thread makes no sense to anybody."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Argon2Profile:
    """What one hash costs. The default is OWASP's second choice: about 40 ms of CPU."""

    passes: int = 2
    memory_kib: int = 19 * 1024
    lanes: int = 1

    def hasher(self) -> PasswordHasher:
        """Return argon2id with this cost."""
        return PasswordHasher(self.passes, self.memory_kib, self.lanes)


class Passwords:
    """argon2id in threads of its own, so that a flood of sign-ins costs two cores at most."""

    def __init__(
        self, profile: Argon2Profile | None = None, threads: int = 2, waiting: int = 64
    ) -> None:
        self._hasher = (profile or Argon2Profile()).hasher()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._bound = threads + waiting
        self._busy = 0
        # Compared with where there is no such user, so that the answer takes as long.
        self._nobody = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """Return the hash to store.

        Raises:
            InvalidParameters: The password is too short, too long or not text.
            ServiceUnavailable: Too many others are waiting.
        """
        text = acceptable(password)
        return await self._run(lambda: self._hasher.hash(text))

    async def rehash(self, password: str) -> str:
        """Return another hash of a password that was right: v2 took shorter ones.

        Raises:
            ServiceUnavailable: Too many others are waiting.
        """
        text = _bytes(password)
        return await self._run(lambda: self._hasher.hash(text))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Tell whether `password` made `stored`; with no hash it takes as long and is not.

        Raises:
            ServiceUnavailable: Too many others are waiting.
        """
        hashed = self._nobody if stored is None else stored
        try:
            text = _bytes(password, as_typed=is_v2(hashed))
        except InvalidParameters:
            return False
        same = await self._run(lambda: self._verify(hashed, text))
        return same and stored is not None

    def outdated(self, stored: str) -> bool:
        """Tell whether `stored` was made by v2, or with another cost than is used now."""
        return is_v2(stored) or self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str, text: bytes) -> bool:
        try:
            if is_v2(stored):
                return bcrypt.checkpw(text[:V2_LONGEST], stored.encode())
            return self._hasher.verify(stored, text)
        except (VerificationError, InvalidHashError, ValueError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._busy >= self._bound:
            raise ServiceUnavailable("Too many sign-ins at once: try again.", retry_after=2.0)
        self._busy += 1
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            raise ServiceUnavailable("Signing in takes too long.", retry_after=5.0) from None
        finally:
            self._busy -= 1


def is_v2(stored: str) -> bool:
    """Tell whether a hash is one of v2's."""
    return stored.startswith("$2")


def acceptable(password: str) -> bytes:
    """Return the bytes to hash: NFKC, so that every keyboard types the same password.

    Raises:
        InvalidParameters: The password is too short, too long or not text.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise _refused(f"takes {SHORTEST} to {LONGEST} characters")
    return _bytes(password)


def _bytes(password: str, *, as_typed: bool = False) -> bytes:
    if len(password) > LONGEST:
        raise _refused(f"takes {SHORTEST} to {LONGEST} characters")
    try:
        return (password if as_typed else unicodedata.normalize("NFKC", password)).encode()
    except UnicodeEncodeError:
        problem = "is not valid Unicode"
    # Outside the handler: the other error holds the password.
    raise _refused(problem)


def _refused(problem: str) -> InvalidParameters:
    return InvalidParameters(f"'password' {problem}.", fields=[("password", problem)])
