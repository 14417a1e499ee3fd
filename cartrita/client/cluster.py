"""Reaches the tree without a gateway: loads the part of the program that can."""

from importlib import import_module
from typing import Protocol

import httpx

from cartrita.errors import MissingExtra
from cartrita.protocol.principal import Principal

JOINING = "serve_apps.joining"
"""Reached by name only: the library does not know the program that is built on it."""

URL = "http://127.0.0.1"
TOKEN = "inside"  # noqa: S105 - it opens nothing: nobody is asked for one
"""Who asks is told once, when the cluster is joined."""


class Inside(Protocol):
    """A way into the tree, which speaks like a gateway."""

    def blocking(self) -> httpx.BaseTransport:
        """Return it for a program without an event loop."""

    def asynchronous(self) -> httpx.AsyncBaseTransport:
        """Return it for a program with one."""


def join(who: Principal, address: str | None, instance: str | None) -> Inside:
    """Join the Ray on which a tree runs.

    Raises:
        MissingExtra: The library is installed without the program.
        ConfigurationInvalid: There is no such Ray, or this process has joined another one.
        ServiceUnavailable: It does not answer, or no tree runs on it.
    """
    try:
        program = import_module(JOINING)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{error.name!r} is missing: install the whole package, `pip install cartrita`."
        ) from error
    found: Inside = program.join(who, address, instance)
    return found
