"""Finds the Ray on which a tree runs, for programs that want to join it."""

import sys
from importlib import import_module
from typing import Any

from cartrita.config.load import load_settings, offer
from cartrita.config.settings import Settings
from cartrita.errors import ConfigurationInvalid
from cartrita.instance import paths_of, running
from cartrita.protocol.principal import Principal

INSIDE = "serve_apps.inside"
"""Imported last: it imports Ray, which reads its environment as it is imported."""


def join(who: Principal, address: str | None, instance: str | None) -> Any:
    """Join Ray and return a way into the tree.

    Args:
        who: In whose name it is used.
        address: Of Ray; by default that of the settings, or of the instance that runs here.
        instance: Its name; by default that of the settings.

    Raises:
        ConfigurationInvalid: There is no such Ray, or this process has joined another one.
        ServiceUnavailable: It does not answer, or no tree runs on it.
    """
    settings = load_settings()
    found = address or settings.ray.address or _of_this_machine(settings)
    return import_module(INSIDE).Inside(who, found, instance or settings.instance)


def _of_this_machine(settings: Settings) -> str:
    """Return the address of the instance of this home, and let Ray find its token."""
    paths = paths_of(settings)
    state = running(paths)
    if state is None or not state.ray:
        raise ConfigurationInvalid(
            f"No instance runs in {str(paths.home)!r}, and no Ray is named: start one with "
            "`cartrita up`, or set RAY_ADDRESS."
        )
    told = offer({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(paths.ray_token)})
    if not told and "ray" in sys.modules:
        raise ConfigurationInvalid(
            "Ray was imported before `connect_ray` could tell it the instance's token: call "
            "this first, or set RAY_AUTH_MODE=token and "
            f"RAY_AUTH_TOKEN_PATH={paths.ray_token} in the environment."
        )
    return state.ray
