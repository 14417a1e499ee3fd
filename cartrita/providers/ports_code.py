"""What agents and tools may ask of whoever reads, mends and tests code."""

from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["error", "warning", "security"]
Mending = Literal["style", "bugs", "speed"]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is noticed in code, at a line and column from 1."""

    rule: str
    message: str
    line: int
    column: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, as it is written; the annotation and the default may be empty."""

    name: str
    annotation: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class Routine:
    """A function or method.

    Attributes:
        complexity: McCabe's: one, and one more for each branch.
        owner: The class it is a method of, or empty.
        examples: Expressions and their values as the docstring's `>>>` lines tell them.
    """

    name: str
    line: int
    complexity: int
    parameters: tuple[Parameter, ...]
    returns: str = ""
    documented: bool = False
    owner: str = ""
    examples: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """What static analysis tells. Nothing is run for it.

    Attributes:
        by: What looked at the code; empty where nothing here reads its language.
        parses: None where nobody knows.
        lines: Without blank ones.
        note: Why it was not, or not wholly, analysed.
    """

    by: tuple[str, ...]
    parses: bool | None
    lines: int
    remarks: tuple[Remark, ...] = ()
    routines: tuple[Routine, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of running tests.

    Attributes:
        ran: False where they could not be run; the note says why.
        output: The end of what the tests said.
    """

    ran: bool
    passed: int = 0
    failed: int = 0
    output: str = ""
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether there were tests, and all passed."""
        return self.ran and self.passed > 0 and self.failed == 0


class Workshop(Protocol):
    """Reads, mends and tests code; what it runs, it runs in a sandbox."""

    async def review(self, code: str, language: str) -> Review:
        """Analyse code; what cannot be analysed is said to be so."""

    async def mend(self, code: str, kind: Mending) -> str:
        """Return Python code with what fixed rules can safely correct, or as it was."""

    async def document(self, code: str) -> str:
        """Return Python code with a docstring for each public thing that had none."""

    async def test(
        self, code: str, tests: str, language: str, framework: str, timeout: float
    ) -> Tested:
        """Run tests against code, which they import as the module `solution`."""
