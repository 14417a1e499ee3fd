"""What an attempt has kept in its task's story."""

import asyncio

import pytest

from actors import reach as module
from actors.reach import AttemptReach
from cartrita.catalog import Catalog
from cartrita.context import Context, ToolRun, Usage
from cartrita.errors import ChannelLost
from cartrita.threads import Threads
from tests.support.stage import Echo

SPEC = Catalog.of([Echo]).task("test.echo")


class Line:
    """Hears what is emitted, unless it is lost."""

    def __init__(self):
        self.heard, self.lost = [], False

    def emit(self, payload):
        if self.lost:
            raise ChannelLost("as told")
        self.heard.append(payload)


@pytest.fixture
def line():
    return Line()


@pytest.fixture
async def reach(line):
    threads = Threads(keep=0)
    yield AttemptReach("t", 1, SPEC, threads, line, {})
    threads.close()


async def test_uses_go_to_the_supervisor_at_once_and_in_order(reach, line):
    context = Context("t", reach=reach)
    context.spent(Usage("m", 1, 2))
    context.note(ToolRun("t", {"a": 1}, "b"))
    assert [(kind, row[0]) for kind, row in line.heard] == [("used", "model"), ("used", "tool")]


async def test_they_are_nothing_that_readers_have_noticed(reach):
    context = Context("t", reach=reach)
    context.spent(Usage("m"))
    assert not context.used


async def test_a_thread_may_tell_of_them(reach, line):
    context = Context("t", reach=reach)
    await context.in_thread(lambda: context.spent(Usage("m")))
    await asyncio.sleep(0)
    assert [row[0] for _, row in line.heard] == ["model"]


async def test_where_nobody_listens_nothing_is_kept():
    reach = AttemptReach("t", 1, SPEC, Threads(keep=0), None, {})
    reach.note(Usage("m"))


@pytest.mark.parametrize("how", ["close", "lose"])
async def test_the_end_of_the_attempt_or_of_the_channel_is_no_error(reach, line, how):
    if how == "close":
        reach.close()
    line.lost = True
    reach.note(Usage("m"))
    assert line.heard == []


async def test_so_many_are_kept_and_then_a_mark(reach, line, monkeypatch):
    monkeypatch.setattr(module, "MOST_USES", 3)
    for _ in range(10):
        reach.note(Usage("m"))
    assert [row[0] for _, row in line.heard] == ["model", "model", "cut"]
