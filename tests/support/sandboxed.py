"""Runs programs in the real sandbox, and looks for what they left behind."""

import json
from pathlib import Path
from textwrap import dedent

from cartrita.clock import new_id
from cartrita.providers.ports_sandbox import Program
from cartrita.providers.sandbox.bubblewrap import Bubblewrap
from cartrita.providers.sandbox.walls import Bounds

MB = 1 << 20
SMALL = Bounds(seconds=8, memory=256 * MB, disk=4 * MB, processes=24, output=20_000, inodes=2000)

TRY = """
import ctypes, errno, json, os, resource, signal, socket, subprocess, sys, time
from pathlib import Path
def attempt(work, *arguments):
    try:
        return repr(work(*arguments))
    except (OSError, MemoryError, ValueError) as error:
        return type(error).__name__
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    done = libc.syscall(number, *arguments)
    return errno.errorcode[ctypes.get_errno()] if done == -1 else "done"
"""
"""What programs of tests begin with."""


def sandbox(bounds=SMALL, parallel=4, *, tried=True):
    """Return a sandbox that need not be tried first: one test does that."""
    made = Bubblewrap(bounds, parallel)
    made._holds = tried
    return made


def program(code, *arguments, files=None, stdin=b"", language="python"):
    """Return a program of one file, whose processes carry a token of their own."""
    given = {"main": dedent(code).encode(), **(files or {})}
    return Program(language, "main", given, arguments=(new_id(), *arguments), stdin=stdin)


async def ran(code, *arguments, timeout=8, bounds=SMALL, **more):
    """Run a program and see that none of its processes is left."""
    made = program(code, *arguments, **more)
    result = await sandbox(bounds).run(made, timeout)
    assert left_of(made) == []
    return result


async def found(code, *arguments, **more):
    """Run a program that prints what it found as JSON."""
    result = await ran(TRY + code, *arguments, **more)
    assert result.ok, result
    return json.loads(result.stdout)


def left_of(made):
    """Return the command lines of a program's processes that still run on this machine."""
    token = made.arguments[0].encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes()
        except OSError:
            continue
        if token in text:
            found.append(text)
    return found
