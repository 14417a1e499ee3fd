"""Orders to a running edge: HAProxy's own socket, in a folder that only its user may enter."""

import asyncio
from contextlib import suppress
from pathlib import Path

from cartrita.errors import ServiceUnavailable

ANSWER_TIMEOUT = 5.0
_BACKENDS = ("serve/serve", "rpc/rpc")


async def refuse_all(admin: Path) -> None:
    """Have every new request refused; those under way go on.

    Raises:
        ServiceUnavailable: The edge did not hear it.
    """
    for server in _BACKENDS:
        await order(admin, f"set server {server} state drain\n")


async def change_certificate(admin: Path, file: Path, whole: str) -> None:
    """Have a certificate used for all connections that begin now; the others stay.

    Args:
        admin: HAProxy's socket.
        file: By which its configuration names the certificate.
        whole: PEM of chain and key, without empty lines.

    Raises:
        ServiceUnavailable: It was not taken.
    """
    said = await order(admin, f"set ssl cert {file} <<\n{whole}\n")
    if "Transaction" in said:
        said = await order(admin, f"commit ssl cert {file}\n")
    if "Success" not in said:
        await order(admin, f"abort ssl cert {file}\n")
        raise ServiceUnavailable(f"HAProxy said {said.strip()!r}.")


async def order(admin: Path, text: str) -> str:
    """Give an order and return what HAProxy says."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(admin)
            try:
                writer.write(text.encode())
                return (await reader.read()).decode()
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        raise ServiceUnavailable(f"The edge does not listen at {str(admin)!r}: {error}.") from None
