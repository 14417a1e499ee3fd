"""What `Cache-Control` means for a task."""

from types import SimpleNamespace

import pytest

from cartrita.protocol.task import TaskRequest
from serve_apps.gateway import freshness
from serve_apps.gateway.freshness import cache_use, freshened


@pytest.mark.parametrize(
    ("header", "use"),
    [
        (None, None),
        ("max-age=60", None),
        ("no-cache", "refresh"),
        ("max-age=0", "refresh"),
        ("No-Cache, max-age=5", "refresh"),
        ("no-cache, no-store", "off"),
    ],
)
def test_the_header_is_read(monkeypatch, header, use):
    headers = {} if header is None else {b"cache-control": header.encode()}
    monkeypatch.setattr(freshness, "exchange_of", lambda _: SimpleNamespace(headers=headers))
    assert cache_use(None) == use


def asked(**fields):
    return TaskRequest(task_type="system.echo", parameters={}, **fields)


def test_it_holds_where_the_task_says_nothing_and_keeps_what_else_that_says():
    assert freshened(asked(), "refresh").preferences.cache == "refresh"
    found = freshened(asked(preferences={"qualityLevel": "best"}), "off").preferences
    assert (found.cache, found.quality_level) == ("off", "best")


def test_the_task_s_own_word_comes_first():
    own = asked(preferences={"cache": "use"})
    assert freshened(own, "off") is own
    assert freshened(own, None) is own
