"""Tries from inside whether a sandbox holds."""

import json
from importlib.resources import files
from typing import Literal

from cartrita.providers.ports_sandbox import Program, Ran
from cartrita.providers.sandbox.walls import ENVIRONMENT, Bounds

ENTRY = "probe.py"


def source(name: Literal["inside", "probe"]) -> str:
    """Return the text of one of the programs that run inside."""
    return files("cartrita.providers.sandbox").joinpath(f"{name}.py").read_text()


def program(bounds: Bounds) -> Program:
    """Return the program that looks."""
    numbers = (bounds.memory, bounds.disk, bounds.processes)
    names = ",".join((*ENVIRONMENT, "PWD", "LC_CTYPE"))
    arguments = (*map(str, numbers), names)
    return Program("python", ENTRY, {ENTRY: source("probe").encode()}, arguments=arguments)


def failures(ran: Ran) -> list[str]:
    """Return what does not hold."""
    if not ran.ok:
        told = ran.stderr.strip().splitlines()[-1:] or [f"the look ended by {ran.ended}"]
        return [f"the sandbox cannot be looked at ({told[0]})"]
    try:
        found = json.loads(ran.stdout)
        return [what for what, holds in found.items() if holds is not True]
    except (ValueError, AttributeError):
        return ["the look says nothing"]
