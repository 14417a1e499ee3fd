"""Budgets and what was spent, over HTTP."""

from typing import Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.cost.budget import Ceiling, Period
from cartrita.cost.price import nano
from cartrita.errors import InvalidParameters
from cartrita.protocol.wire import WireModel
from serve_apps.asgi.messages import read_json, reply
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import gate_of, granted
from serve_apps.gateway.query import (
    budget_after,
    limit_of,
    names_of,
    owner_of,
    span_of,
    spender_of,
)

READ, WRITE = "budgets:read", "budgets:write"


class Allowed(WireModel):
    """What a budget shall hold; null is no limit."""

    max_usd: float | None = Field(default=None, ge=0, le=10**9, allow_inf_nan=False)
    max_tokens: int | None = Field(default=None, ge=0, le=10**15)
    period: Literal["day", "total"] = "day"


async def listing(request: Request) -> Response:
    """GET /v3/budgets: one's own budgets; administrators see everybody's."""
    who = await granted(request, READ)
    limit = limit_of(request)
    rows = await gate_of(request).budgets.list(who, limit, budget_after(request))
    after = rows[-1]["budgetId"] if len(rows) == limit and who.admin else None
    return reply({"budgets": rows, "next": after})


async def one(request: Request) -> Response:
    """GET, PUT and DELETE /v3/budgets/{kind}/{owner}, one route for all."""
    return await {"PUT": put, "DELETE": reset}.get(request.method, show)(request)


async def show(request: Request) -> Response:
    """GET /v3/budgets/{kind}/{owner}: one budget."""
    who = await granted(request, READ)
    return reply(await gate_of(request).budgets.show(owner_of(request), who))


async def put(request: Request) -> Response:
    """PUT /v3/budgets/{kind}/{owner}: set one, whatever is used of it."""
    who = await granted(request, WRITE)
    budget = owner_of(request)
    asked = parse(Allowed, await read_json(request))
    if not asked.model_fields_set & {"max_usd", "max_tokens"}:
        raise InvalidParameters(
            "Name maxUsd, maxTokens or both; null is no limit.", fields=[("maxUsd", "is missing")]
        )
    most = None if asked.max_usd is None else nano(asked.max_usd)
    ceiling = Ceiling(most, asked.max_tokens, Period(asked.period))
    return reply(await gate_of(request).budgets.set(budget, ceiling, who))


async def reset(request: Request) -> Response:
    """DELETE /v3/budgets/{kind}/{owner}: have it follow the settings again."""
    who = await granted(request, WRITE)
    return reply(await gate_of(request).budgets.reset(owner_of(request), who))


async def usage(request: Request) -> Response:
    """GET /v3/usage: what was charged to oneself; administrators see everybody's."""
    who = await granted(request, READ)
    whose, between = spender_of(request, who), span_of(request)
    return reply(await gate_of(request).budgets.usage(names_of(request), whose, *between))


ROUTES = [
    Route("/v3/budgets", listing, methods=["GET"]),
    Route("/v3/budgets/{kind}/{owner}", one, methods=["GET", "PUT", "DELETE"]),
    Route("/v3/usage", usage, methods=["GET"]),
]
