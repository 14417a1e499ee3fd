"""Accounts as v2's clients know them: register, sign in, verify, look after."""

from typing import Any

from cartrita.auth.tokens import AUDIENCE, ISSUER
from cartrita.auth.v2_tokens import AUDIENCE as V2_AUDIENCE
from cartrita.clock import iso
from cartrita.errors import AuthenticationFailed
from cartrita.protocol.principal import V2_ISSUER, Role
from cartrita.storage.people import Person
from serve_apps.bridge.calls import Call
from serve_apps.bridge.credentials import bearer_in


async def register(call: Call, params: dict[str, Any]) -> Any:
    """Make an account and sign it in."""
    person, session = await call.gate.people.register(
        params["name"], params["email"], params["password"]
    )
    return {"user": body_of(person), "token": session.token, "expires_in": session.expires_in}


async def login(call: Call, params: dict[str, Any]) -> Any:
    """Sign somebody in by address or by name; failures are counted by account."""
    gate = call.gate
    email = await gate.people.address(params["login"])
    async with gate.visitors.signing_in(email):
        person, session = await gate.people.login(email, params["password"])
    return {"user": body_of(person), "token": session.token, "expires_in": session.expires_in}


async def verify(call: Call, params: dict[str, Any]) -> Any:
    """Tell whose token this is, in v2's claims."""
    token = bearer_in(str(params.get("authorization", "")))
    if not token:
        raise AuthenticationFailed("Send `Authorization: Bearer …`.")
    person, claims = await call.gate.people.verify(token)
    names = (ISSUER, AUDIENCE) if claims.session else (V2_ISSUER, V2_AUDIENCE)
    # As the token says: one of v2's makes nobody an administrator.
    admin = claims.role is not Role.USER
    return {
        **body_of(person),
        "role": claims.role,
        "is_admin": admin,
        "iss": names[0],
        "aud": names[1],
    }


async def listing(call: Call, _params: dict[str, Any]) -> Any:
    """List the first accounts."""
    return [body_of(person) for person in await call.gate.people.listing()]


async def examine(call: Call, _params: dict[str, Any]) -> Any:
    """Tell of accounts with something amiss."""
    total, found = await call.gate.people.examine()
    rows = [
        {"id": one.person.number, "email": one.person.user.email, "issues": list(one.issues)}
        for one in found
    ]
    return {"total": total, "issues": rows}


def body_of(person: Person) -> dict[str, Any]:
    """Return an account as rows see it."""
    user = person.user
    return {
        "id": person.number,
        "uuid": user.id,
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "is_admin": user.role is not Role.USER,
        "created_at": iso(user.created_at),
        "updated_at": iso(person.changed_at),
    }
