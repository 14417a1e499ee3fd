"""Who asks: the identity a door decided on."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache

KEY_PREFIX = "ctk_"
"""How API keys begin, so that scanners of leaked secrets find them."""

V2_KEY_PREFIX = "cartrita_"
"""How those begin that v2's clients are given."""

V2_ISSUER = "cartrita-auth"
"""Who v2's tokens say that they are from."""


def is_key(credential: str) -> bool:
    """Tell whether a credential is meant to be an API key, rather than a token."""
    return credential.startswith((KEY_PREFIX, V2_KEY_PREFIX))


class Role(StrEnum):
    """What somebody is. `system` is the program itself."""

    USER = "user"
    ADMIN = "admin"
    SYSTEM = "system"


USER_SCOPES = ("tasks:*", "agents:read", "budgets:read", "keys:*")
"""What somebody who signed in may do without being an administrator."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, or an API key of one, in a tenant.

    Attributes:
        user: The user's id.
        tenant: The workspace whose data and budget this is; the user's own by default.
        role: What the user is.
        scopes: Patterns of what this credential may do, such as `tasks:*`.
    """

    user: str
    tenant: str
    role: Role = Role.USER
    scopes: tuple[str, ...] = USER_SCOPES

    @property
    def admin(self) -> bool:
        """Whether everything is allowed."""
        return self.role is not Role.USER

    @property
    def alone(self) -> "Principal":
        """The same user without an administrator's sight of what is others'."""
        return Principal(self.user, self.tenant)

    def may(self, permission: str) -> bool:
        """Tell whether a scope covers `permission`, written `area:name`."""
        return self.admin or any(fnmatchcase(permission, scope) for scope in self.scopes)

    @property
    def works(self) -> bool:
        """Whether there are tasks that may be run."""
        return self.admin or any(
            scope == "*" or scope.startswith("tasks:") for scope in self.scopes
        )

    def sees(self, user: str, task_type: str) -> bool:
        """Tell whether a user's task of this type is theirs to look at and to decide about."""
        return self.admin or (user == self.user and self.may(f"tasks:{task_type}"))


@lru_cache(maxsize=1024)
def principal_of(user: str, tenant: str, role: str, scopes: tuple[str, ...]) -> Principal:
    """Return a principal by its parts as they travel; the tasks of one follow each other."""
    return Principal(user, tenant, Role(role), scopes)


GUEST = Principal(user="guest", tenant="guest", scopes=("tasks:*",))
"""Whoever has no token, where v2's public routes run tasks and the settings allow it."""

SYSTEM = Principal(user="system", tenant="system", role=Role.SYSTEM, scopes=("*",))
"""The program itself, for its own probes."""
