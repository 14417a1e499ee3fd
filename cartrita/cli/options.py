"""The options before the command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import typer


@dataclass(frozen=True, slots=True)
class Options:
    """What was said before the command; `ctx.obj` in every command.

    Attributes:
        url: Of the API; None means this machine's instance.
        overrides: Settings by their dotted names, for `load_settings`.
    """

    url: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, home: str | None, url: str | None, assignments: Sequence[str]) -> "Options":
        """Read the options.

        Raises:
            typer.BadParameter: An assignment has no `=`.
        """
        overrides = dict(_assignment(text) for text in assignments)
        if home:
            overrides["home"] = home
        return cls(url, overrides)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is no setting: write 'section.field=value'.")
    return name, value


def options_of(ctx: typer.Context) -> Options:
    """Return the options of the command that runs."""
    options: Options = ctx.obj
    return options
