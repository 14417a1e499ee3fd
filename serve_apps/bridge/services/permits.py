"""Which permission a service asks for: some credentials have few scopes."""

from cartrita.errors import AuthorizationFailed
from cartrita.protocol.principal import Principal
from serve_apps.bridge.calls import Call


def permitted(call: Call, permission: str) -> Principal:
    """Return who asks, if a scope covers a permission.

    Raises:
        AuthorizationFailed: None does.
    """
    who = call.person
    if not who.may(permission):
        raise AuthorizationFailed(f"These credentials do not cover {permission!r}.")
    return who
