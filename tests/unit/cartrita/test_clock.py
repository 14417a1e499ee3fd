"""Time, identifiers and randomness."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

import pytest

from cartrita import clock
from cartrita.clock import (
    ManualClock,
    SystemClock,
    derived_id,
    iso,
    new_id,
    new_random,
    new_uuid,
)

FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def frozen(monkeypatch):
    """Give ids a machine clock that stands where the test puts it."""
    now = {"ns": 1_700_000_000_123_456_789}
    monkeypatch.setattr(clock.time, "time_ns", lambda: now["ns"])
    return now


def minted_at(uuid):
    return uuid.int >> 80


def test_an_id_is_a_uuid_of_version_7():
    for _ in range(1_000):
        uuid = new_uuid()
        assert FORM.fullmatch(str(uuid))
        assert (uuid.version, uuid.variant) == (7, RFC_4122)
    assert UUID(new_id()).version == 7


def test_an_id_begins_with_the_time_in_milliseconds(frozen):
    assert minted_at(clock._Uuid7()()) == 1_700_000_000_123


def test_ids_grow_in_the_order_they_were_minted():
    minted = [new_id() for _ in range(20_000)]
    assert minted == sorted(minted)
    assert len(set(minted)) == len(minted)


def test_ids_grow_though_the_clock_stands_or_goes_back(frozen):
    mint = clock._Uuid7()
    minted = [mint() for _ in range(10_000)]  # more than one millisecond has numbers for
    frozen["ns"] -= 3_600 * 10**9
    minted += [mint() for _ in range(10_000)]
    assert minted == sorted(set(minted))
    assert {uuid.version for uuid in minted} == {7}


def test_ids_follow_the_clock_again_once_it_has_caught_up(frozen):
    mint = clock._Uuid7()
    before = [mint() for _ in range(10_000)][-1]
    frozen["ns"] += 10**9
    after = mint()
    assert after > before
    assert minted_at(after) == frozen["ns"] // 1_000_000


def test_threads_do_not_get_the_same_id():
    with ThreadPoolExecutor(8) as threads:
        minted = list(threads.map(lambda _: [new_id() for _ in range(500)], range(8)))
    assert len({one for some in minted for one in some}) == 4_000


class TestDerived:
    def test_it_is_the_same_for_the_same_and_another_for_anything_else(self):
        base = new_id()
        assert derived_id(base, "0/a") == derived_id(base, "0/a")
        made = {derived_id(base, salt) for salt in ("0/a", "1/a", "0/b", "")}
        assert len(made | {base, derived_id(new_id(), "0/a")}) == 6

    def test_it_is_a_uuid_of_version_7_with_the_time_of_its_base(self):
        for _ in range(100):
            base = new_id()
            made = derived_id(base, "salt")
            assert FORM.fullmatch(made)
            assert (UUID(made).version, UUID(made).variant) == (7, RFC_4122)
            assert minted_at(UUID(made)) == minted_at(UUID(base))


def test_the_machine_s_clock_is_the_machine_s():
    before = time.time(), time.monotonic()
    seen = SystemClock().now(), SystemClock().monotonic()
    assert before[0] <= seen[0] <= time.time()
    assert before[1] <= seen[1] <= time.monotonic()


def test_a_manual_clock_moves_when_told():
    manual = ManualClock(100.0)
    assert (manual.now(), manual.monotonic()) == (100.0, 100.0)
    manual.advance(2.5)
    assert (manual.now(), manual.monotonic()) == (102.5, 102.5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00.000+00:00"), (1_700_000_000.1239, "2023-11-14T22:13:20.123+00:00")],
)
def test_times_are_written_in_utc_with_milliseconds(seconds, text):
    assert iso(seconds) == text


def test_randomness_repeats_only_from_a_seed():
    assert new_random(7).random() == new_random(7).random()
    assert new_random().random() != new_random().random()
