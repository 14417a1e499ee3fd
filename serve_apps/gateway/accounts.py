"""Accounts over HTTP: register, sign in and out, keys for verifiers."""

from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.auth.identity import Session
from cartrita.protocol.wire import WireModel
from cartrita.storage.ports import User
from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import read_json, reply
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import claims_of, gate_of


class Login(WireModel):
    """Who wants in."""

    email: str = Field(max_length=320)
    password: str = Field(max_length=1024)


class Registration(Login):
    """Who wants an account."""

    name: str = Field(default="", max_length=200)


class Refresh(WireModel):
    """Who wants another session."""

    refresh_token: str = Field(min_length=1, max_length=256)


class Logout(WireModel):
    """Which other session ends, too."""

    refresh_token: str | None = Field(default=None, min_length=1, max_length=256)


async def register(request: Request) -> Response:
    """POST /auth/register: make an account and sign it in."""
    await gate_of(request).visitors.admit(request)
    asked = parse(Registration, await read_json(request))
    session = await gate_of(request).identity.register(asked.email, asked.password, asked.name)
    return reply(session_body(session), 201)


async def login(request: Request) -> Response:
    """POST /auth/login: sign in."""
    gate = gate_of(request)
    await gate.visitors.admit(request)
    asked = parse(Login, await read_json(request))
    async with gate.visitors.signing_in(asked.email):
        session = await gate.identity.login(asked.email, asked.password)
    return reply(session_body(session))


async def refresh(request: Request) -> Response:
    """POST /auth/refresh: a new session for a refresh token, which is spent."""
    await gate_of(request).visitors.admit(request)
    asked = parse(Refresh, await read_json(request))
    session = await gate_of(request).identity.refresh(asked.refresh_token)
    return reply(session_body(session))


async def logout(request: Request) -> Response:
    """POST /auth/logout: end this session."""
    claims = await claims_of(request)
    said = exchange_of(request).has_body
    asked = parse(Logout, await read_json(request)) if said else Logout()
    await gate_of(request).identity.logout(asked.refresh_token, claims)
    return Response(status_code=204)


async def me(request: Request) -> Response:
    """GET /auth/me: the account of the token."""
    claims = await claims_of(request)
    user = await gate_of(request).identity.me(claims.principal())
    return reply(user_body(user))


async def jwks(request: Request) -> Response:
    """GET /.well-known/jwks.json: the public keys of our tokens."""
    headers = {"Cache-Control": "public, max-age=300"}
    return reply(gate_of(request).jwks(), headers=headers)


def session_body(session: Session) -> dict[str, Any]:
    """Return a session as clients read it."""
    return {
        "token": session.token,
        "refreshToken": session.refresh_token,
        "expiresIn": session.expires_in,
        "user": user_body(session.user),
    }


def user_body(user: User) -> dict[str, Any]:
    """Return an account as clients read it."""
    return {"id": user.id, "email": user.email, "name": user.name, "role": user.role.value}


ROUTES = [
    Route("/auth/register", register, methods=["POST"]),
    Route("/auth/login", login, methods=["POST"]),
    Route("/auth/refresh", refresh, methods=["POST"]),
    Route("/auth/logout", logout, methods=["POST"]),
    Route("/auth/me", me, methods=["GET"]),
    Route("/.well-known/jwks.json", jwks, methods=["GET"]),
]
