"""Nothing but the egress opens clients to addresses that others name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
OPENS = re.compile(r"httpx\.(Async)?Client\(|\burlopen\(|\baiohttp\b|\brequests\.(get|post)\(")
FOLDERS = ("actors", "cartrita/providers", "cartrita/research", "cartrita/tools")


@pytest.mark.parametrize("folder", FOLDERS)
def test_who_opens_a_client_gives_it_the_guarded_transport(folder):
    opening = [
        path for path in (ROOT / folder).rglob("*.py") if OPENS.search(text := path.read_text())
        and "GuardedTransport(" not in text
    ]  # fmt: skip
    assert opening == []
