"""Who calls, by the call's metadata."""

from dataclasses import dataclass
from typing import Any

from cartrita.auth.claims import Claims
from cartrita.errors import AuthenticationFailed, AuthorizationFailed, CartritaError
from cartrita.protocol.principal import Principal
from cartrita.telemetry.log import about
from cartrita.telemetry.trace import continue_trace
from serve_apps.asgi.messages import credential
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

    async def counted(self) -> None:
        """Count a request that is no task, which the Door counts.

        Raises:
            RateLimitExceeded: The caller has made too many.
        """
        await self.gate.limiter.take(self.claims.user)

    async def granted(self, permission: str) -> None:
        """Count a request, if a scope covers a permission.

        Raises:
            AuthorizationFailed: None does.
            RateLimitExceeded: The caller has made too many.
        """
        await self.counted()
        if not self.who.may(permission):
            raise AuthorizationFailed(f"These credentials do not cover {permission!r}.")

    async def admin(self) -> Principal:
        """Return who asks, who must be an administrator, and count the request.

        Raises:
            AuthorizationFailed: It is somebody else.
            RateLimitExceeded: The caller has made too many.
        """
        await self.counted()
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
    """Return who calls; what is done from now on belongs to the call's trace, or to a new one.

    Raises:
        AuthenticationFailed: There is no token of ours in the metadata.
    """
    pairs = context.invocation_metadata() or ()
    metadata = {str(name).lower(): value for name, value in pairs if isinstance(value, str)}
    about(continue_trace(metadata.get("traceparent")))
    token = credential(metadata.get("authorization", ""), metadata.get("x-api-key", ""))
    if token is None:
        raise AuthenticationFailed(
            "Send an access token or an API key as metadata: `authorization: Bearer …`."
        )
    return Caller(gate, await gate.identity.admit(token), token, metadata)
