"""Two thousand seeds of kills, cuts, outages and poison, and the promises that must survive."""

import pytest

from tests.simulator.simulation import simulate

pytestmark = pytest.mark.no_cover  # measuring lines doubles the time, and other tests measure

SEEDS = 2000
AT_ONCE = 100
SHOWN = 5


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_every_promise_holds_whatever_breaks(first):
    outcomes = (simulate(seed) for seed in range(first, first + AT_ONCE))
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    if wrong:
        told = "\n".join(map(str, wrong[:SHOWN]))
        pytest.fail(f"{len(wrong)} of {AT_ONCE} seeds\n{told}", pytrace=False)
