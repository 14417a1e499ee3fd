"""Tests of cartrita/protocol/patience.py."""

import pytest

from cartrita.protocol.patience import LONGEST, seconds_to_wait


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("3", 3.0), ("0.5", 0.5), (2, 2.0), ("-1", 0.0), ("1e300", LONGEST), (None, None), ("", None),
     ("inf", None), ("nan", None), ("1e400", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)  # fmt: skip
def test_what_is_no_number_of_seconds_tells_nothing(told, seconds):
    assert seconds_to_wait(told) == seconds
