"""Orders to a running owner, over a socket in a folder that only its user may enter."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from cartrita.errors import CartritaError, InternalFailure, ServiceUnavailable
from cartrita.instance import Paths

Obey = Callable[[str], Awaitable[None]]

READ_TIMEOUT = 5.0
_LONGEST = 4096


def socket_of(paths: Paths) -> Path:
    """Return where an owner listens."""
    return paths.runtime / "owner.sock"


@asynccontextmanager
async def obeying(paths: Paths, obey: Obey) -> AsyncIterator[None]:
    """Listen for orders until the context ends: a word on a line, answered by a line of JSON."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(READ_TIMEOUT):
                order = (await reader.readline()).decode().strip()
            writer.write(json.dumps({"error": await _outcome(obey, order)}).encode() + b"\n")
            await writer.drain()

    path = socket_of(paths)
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(answer, path, limit=_LONGEST)
    path.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def _outcome(obey: Obey, order: str) -> str | None:
    """Return what went wrong; None when all is done."""
    try:
        await obey(order)
    except CartritaError as error:
        return error.message
    return None


def ask(paths: Paths, order: str, timeout: float) -> None:
    """Have the owner carry out an order, and wait until that is done.

    Raises:
        ServiceUnavailable: It could not; or it did not answer in time.
    """
    answer = asyncio.run(_asked(socket_of(paths), order, timeout))
    try:
        error = json.loads(answer)["error"]
    except (ValueError, KeyError, TypeError):
        raise InternalFailure(f"The owner ended before {order!r} was done.") from None
    if error is not None:
        raise ServiceUnavailable(str(error))


async def _asked(path: Path, order: str, timeout: float) -> bytes:
    """Return the answer; nothing where the owner ended before it."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise ServiceUnavailable(f"The owner does not listen at {str(path)!r}: {error}.") from None
    with closing(writer), suppress(ConnectionError):
        try:
            async with asyncio.timeout(timeout):
                writer.write(order.encode() + b"\n")
                return await reader.readline()
        except TimeoutError:
            raise ServiceUnavailable(f"{order!r} is not done after {timeout:g} s.") from None
    return b""
