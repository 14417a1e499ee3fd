"""What `Cache-Control` means for a task."""

import pytest

from cartrita.protocol.task import TaskRequest
from serve_apps.gateway.freshness import freshened, use_of


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
def test_the_directives_are_read(header, use):
    assert use_of(header) == use


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
