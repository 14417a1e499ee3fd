"""Who calls, by the call's metadata."""

from dataclasses import dataclass
from typing import Any

from cartrita.auth.claims import Claims
from cartrita.errors import AuthenticationFailed, AuthorizationFailed, CartritaError
from cartrita.protocol.principal import Principal
from serve_apps.asgi.messages import LONGEST_TOKEN
from serve_apps.gateway.gate import Gate


@dataclass(frozen=True, slots=True)
class Caller:
    """One call's caller.

    Attributes:
        metadata: The call's, by lower-case names.
    """

    gate: Gate
    claims: Claims
    token: str
    metadata: dict[str, str]

    @property
    def who(self) -> Principal:
        """Who asks."""
        return self.claims.principal()

    def admin(self) -> Principal:
        """Return who asks, who must be an administrator.

        Raises:
            AuthorizationFailed: It is somebody else.
        """
        if not self.who.admin:
            raise AuthorizationFailed("Only administrators may do this: sign in as one.")
        return self.who

    async def good(self) -> bool:
        """Tell whether the token is still good; True when that cannot be found out now."""
        if not self.claims.alive(self.gate.clock.now()):
            return False
        try:
            await self.gate.identity.admit(self.token)
        except AuthenticationFailed:
            return False
        except CartritaError:
            pass
        return True


async def caller_of(gate: Gate, context: Any) -> Caller:
    """Return who calls.

    Raises:
        AuthenticationFailed: There is no token of ours in the metadata.
    """
    pairs = context.invocation_metadata() or ()
    metadata = {str(name).lower(): value for name, value in pairs if isinstance(value, str)}
    scheme, _, token = metadata.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= LONGEST_TOKEN:
        raise AuthenticationFailed("Send an access token as metadata: `authorization: Bearer …`.")
    return Caller(gate, await gate.identity.admit(token.strip()), token.strip(), metadata)
