"""What a credential may be used for: patterns, and what several of them leave."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from cartrita.auth.claims import ROLE_SCOPES
from cartrita.errors import AuthorizationFailed, InvalidParameters
from cartrita.protocol.principal import Role

AREAS = ("tasks", "agents", "budgets", "keys", "admin")
EVERYTHING, ADMIN = "*", "admin:*"
MOST, LONGEST = 50, 128

_FORM = re.compile(rf"\*|({'|'.join(AREAS)}):[a-z0-9_.*-]+")


def covers(held: Sequence[str], scope: str) -> bool:
    """Tell whether one of the scopes held allows all that `scope` does.

    A star in `scope` is compared as a character, which only a star in what is held can cover:
    then that covers whatever it stands for, too.
    """
    return any(fnmatchcase(scope, one) for one in held)


def meet(ones: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Return the scopes that both allow; two that only overlap leave nothing."""
    both = [one for one in ones if covers(others, one)]
    return tuple(dict.fromkeys([*both, *(one for one in others if covers(ones, one))]))


def rights(role: Role, scopes: Sequence[str]) -> tuple[Role, tuple[str, ...]]:
    """Return as what, and for what, a key with these scopes of a user with this role counts.

    An administrator's key is one of an ordinary user, unless its scopes say otherwise: to an
    administrator, everything is allowed.
    """
    left = meet(scopes, ROLE_SCOPES[role])
    return (role if covers(left, ADMIN) else Role.USER), left


def checked(scopes: Sequence[str]) -> tuple[str, ...]:
    """Return scopes without repeats.

    Raises:
        InvalidParameters: One is no scope.
    """
    wrong = [
        (f"scopes.{place}", "is no scope")
        for place, scope in enumerate(scopes)
        if len(scope) > LONGEST or not _FORM.fullmatch(scope)
    ]
    if wrong or not 0 < len(scopes) <= MOST:
        raise InvalidParameters(
            f"Scopes are 1 to {MOST} texts such as 'tasks:research.*', in the areas "
            f"{', '.join(AREAS)}.",
            fields=wrong or [("scopes", f"takes 1 to {MOST}")],
        )
    return tuple(dict.fromkeys(scopes))


def within(scopes: Sequence[str], role: Role, held: Sequence[str]) -> None:
    """Refuse to hand on what one does not hold.

    Raises:
        AuthorizationFailed: These credentials do not allow all that `scopes` do.
    """
    beyond = [scope for scope in scopes if role is Role.USER and not covers(held, scope)]
    if beyond:
        raise AuthorizationFailed(
            f"These credentials do not cover {beyond[0]!r}: they have {', '.join(held)}.",
            fields=[("scopes", "is more than you have")],
        )
