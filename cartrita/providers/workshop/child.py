"""Runs one of our own programs over text that nobody trusts."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cartrita.errors import ResourceLimitExceeded

SECONDS = 10
MEMORY = 2 << 30
"""Bytes of address space; ruff reserves most of one before it begins."""

ENVIRONMENT = {"LANG": "C.UTF-8", "RAYON_NUM_THREADS": "1"}

_START = f"""
import os, resource, sys
for kind, most in ((resource.RLIMIT_AS, {MEMORY}), (resource.RLIMIT_CPU, {SECONDS}),
                   (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
    resource.setrlimit(kind, (most, most))
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a program answered."""

    code: int
    output: str
    errors: str


async def done(argv: Sequence[str], text: str) -> Done:
    """Run a program that reads `text`, in a process that is bounded and can be killed.

    Parsers are written for friendly text: what is made for them may take all memory, or the
    process down.

    Raises:
        ResourceLimitExceeded: It needed too long, or died of what it read.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", _START, *argv),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(SECONDS):
            output, errors = await process.communicate(text.encode())
    except TimeoutError:
        raise ResourceLimitExceeded(
            f"This code could not be analysed within {SECONDS} s; give less of it."
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    code = await process.wait()
    if code < 0:
        raise ResourceLimitExceeded(
            "What analyses code died of this one, most likely for want of memory; give less of it."
        )
    return Done(code, output.decode(errors="replace"), errors.decode(errors="replace"))
