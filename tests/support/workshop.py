"""The real workshop, and what models answer to it."""

from dataclasses import replace

from cartrita.providers.workshop.bench import Bench
from tests.support.sandboxed import MB, SMALL, sandbox

ROOMY = replace(SMALL, processes=64, memory=512 * MB)
"""Node needs threads."""


def workshop():
    """Return one that runs tests in the real sandbox."""
    return Bench(sandbox(ROOMY))


def fenced(*codes):
    """Return an answer of a model with some code blocks."""
    return "\n\n".join(f"```\n{code}\n```" for code in codes)
