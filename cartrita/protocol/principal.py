"""Who asks: the identity a door decided on."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Role(StrEnum):
    """What somebody is. `system` is the program itself."""

    USER = "user"
    ADMIN = "admin"
    SYSTEM = "system"


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
    scopes: tuple[str, ...] = ("tasks:*",)

    @property
    def admin(self) -> bool:
        """Whether everything is allowed."""
        return self.role is not Role.USER

    def may(self, permission: str) -> bool:
        """Tell whether a scope covers `permission`, written `area:name`."""
        return self.admin or any(fnmatchcase(permission, scope) for scope in self.scopes)


SYSTEM = Principal(user="system", tenant="system", role=Role.SYSTEM, scopes=("*",))
"""The program itself, for its own probes."""
