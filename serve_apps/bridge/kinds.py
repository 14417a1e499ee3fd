"""The kinds of work that v2's inference routes name, read from `kinds.toml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from cartrita.errors import ConfigurationInvalid, InvalidParameters
from cartrita.protocol.task import MIN_TIMEOUT_MS
from serve_apps.bridge.expressions import Expression, Unfit
from serve_apps.bridge.table import Entry, Expr, read_entries
from serve_apps.bridge.verbs import later

FILE = Path(__file__).with_name("kinds.toml")
SAME = Expression("result")


class Kind(Entry):
    """A kind of work.

    Attributes:
        name: v2's.
        also: Its other names.
        group: v2's name for the family that it belongs to.
        task: The task type that does it.
        later: The team that is not there yet.
        timeout: Milliseconds.
        takes: The task's parameters, out of what the client sent.
        gives: What clients read, out of the task's result.
    """

    name: str
    also: tuple[str, ...] = ()
    group: str
    task: str | None = None
    later: str | None = None
    timeout: int = Field(ge=MIN_TIMEOUT_MS)
    takes: Expr | None = None
    gives: Expr = SAME

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.task is None) == (self.later is None) or (self.task and not self.takes):
            raise ValueError("needs `task` and what it `takes`, or `later`")
        return self

    def parameters(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of the task.

        Raises:
            InvalidParameters: What came is of another shape than it needs.
        """
        assert self.takes
        try:
            found = self.takes(asked)
        except Unfit as error:
            raise InvalidParameters(f"The inputs do not fit {self.name!r}: {error}") from None
        return {key: value for key, value in found.items() if value is not None}


class _File(Entry):
    kind: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class Kinds:
    """All kinds, in the order of the file."""

    kinds: tuple[Kind, ...]
    names: dict[str, Kind]

    @property
    def tasks(self) -> frozenset[str]:
        """The task types that do them."""
        return frozenset(kind.task for kind in self.kinds if kind.task)

    @property
    def groups(self) -> dict[str, list[str]]:
        """The names of kinds by v2's families."""
        found: dict[str, list[str]] = {}
        for kind in self.kinds:
            found.setdefault(kind.group, []).append(kind.name)
        return found

    def find(self, name: Any) -> Kind:
        """Return a kind by any of its names.

        Raises:
            InvalidParameters: There is none.
            Refusal: Its team is not there yet.
        """
        kind = self.names.get(name.lower().replace("_", "-")) if isinstance(name, str) else None
        if kind is None:
            known = ", ".join(sorted(one.name for one in self.kinds))
            raise InvalidParameters(
                f"Unsupported task {str(name)[:100]!r}. Known tasks: {known}.",
                fields=[("task", "is unknown")],
            )
        if kind.later:
            raise later(kind.later)
        return kind


def read_kinds(path: Path = FILE) -> Kinds:
    """Read the file.

    Raises:
        ConfigurationInvalid: A kind is wrong, or two have one name.
    """
    kinds = read_entries(path, _File).kind
    names: dict[str, Kind] = {}
    for kind in kinds:
        for name in (kind.name, *kind.also):
            known = names.setdefault(name.lower().replace("_", "-"), kind)
            if known is not kind:
                raise ConfigurationInvalid(f"{path.name}: two kinds are called {name!r}")
    return Kinds(kinds, names)
