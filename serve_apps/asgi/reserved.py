"""Routes whose path another route's pattern fits, too."""

from starlette.routing import Match, Route
from starlette.types import Scope


class Reserved(Route):
    """A route whose path is its own for every method, though another's pattern fits it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether the path is ours; `handle` refuses other methods."""
        match, found = super().matches(scope)
        return Match.NONE if match is Match.NONE else Match.FULL, found
