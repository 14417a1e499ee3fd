"""Reads what test frameworks print."""

import re
from dataclasses import dataclass

from cartrita.providers.ports_code import Tested
from cartrita.providers.ports_sandbox import Ended, Ran

LONGEST_OUTPUT = 4_000
"""Characters of the end of what tests said."""


@dataclass(frozen=True, slots=True)
class Framework:
    """How tests are run.

    Attributes:
        language: What they and the code are written in.
        module: The file of the code.
        tests: Their own file.
        options: For the interpreter.
        missing: What is printed where the framework is not installed.
    """

    language: str
    module: str
    tests: str
    options: tuple[str, ...]
    missing: str = ""


FRAMEWORKS = {
    "unittest": Framework("python", "solution.py", "test_solution.py", ("-m", "unittest", "-v")),
    "pytest": Framework(
        "python",
        "solution.py",
        "test_solution.py",
        ("-m", "pytest", "-q", "-p", "no:cacheprovider"),
        "No module named pytest",
    ),
    "node:test": Framework(
        "javascript", "solution.mjs", "solution.test.mjs", ("--test-reporter=tap",)
    ),
}
"""Those that can be run, where their language can."""

_UNITTEST = re.compile(r"^Ran (\d+) tests? in .*$", re.MULTILINE)
_COUNTED = re.compile(r"(failures|errors|unexpected successes|skipped)=(\d+)")
_PYTEST = re.compile(r"(\d+) (passed|failed|errors?|xpassed)")
_TAP = re.compile(r"^# (pass|fail|cancelled) (\d+)$", re.MULTILINE)


def verdict(name: str, ran: Ran) -> Tested:
    """Return how many tests passed and failed in a run."""
    said = f"{ran.stdout}\n{ran.stderr}".strip()
    output = said[-LONGEST_OUTPUT:]
    missing = FRAMEWORKS[name].missing
    if missing and missing in said and not ran.ok:
        return Tested(False, output=output, note=f"{name} is not installed in the sandbox.")
    if ran.ended is not Ended.EXITED:
        return Tested(True, 0, 1, output, f"The tests did not end by themselves: {ran.ended}.")
    passed, failed = _COUNTERS[name](said)
    if ran.exit_code != 0 and failed == 0:
        return Tested(True, passed, 1, output, f"The tests ended with exit code {ran.exit_code}.")
    return Tested(True, passed, failed, output, "" if passed + failed else "No test was found.")


def _unittest(said: str) -> tuple[int, int]:
    total = _UNITTEST.findall(said)
    if not total:
        return 0, 0
    last = said.rpartition("\nRan ")[2].splitlines()
    counts = {kind: int(number) for kind, number in _COUNTED.findall(last[-1] if last else "")}
    skipped = counts.pop("skipped", 0)
    failed = sum(counts.values())
    return max(int(total[-1]) - failed - skipped, 0), failed


def _pytest(said: str) -> tuple[int, int]:
    counts = {kind: int(number) for number, kind in _PYTEST.findall(said.splitlines()[-1])}
    passed = counts.pop("passed", 0)
    return passed, sum(counts.values())


def _tap(said: str) -> tuple[int, int]:
    counts = {kind: int(number) for kind, number in _TAP.findall(said)}
    return counts.get("pass", 0), counts.get("fail", 0) + counts.get("cancelled", 0)


_COUNTERS = {"unittest": _unittest, "pytest": _pytest, "node:test": _tap}
