"""Runs a program to its end."""

import asyncio
from collections.abc import Mapping, Sequence


async def run_program(
    argv: Sequence[str], env: Mapping[str, str], timeout: float
) -> tuple[int, str]:
    """Return the exit status of a program and all that it said; it never outlives the call.

    Args:
        argv: The program, by absolute path, and its arguments.
        env: Its whole environment; the place for secrets, which others can read in `argv`.
        timeout: Seconds until it is killed.

    Raises:
        TimeoutError: It was killed.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
        env=dict(env),
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace").strip()
