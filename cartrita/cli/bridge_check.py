"""`cartrita bridge check`."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Annotated, Any

import httpx
import typer
from pydantic_core import from_json
from rich.table import Table
from rich.text import Text

from cartrita.bridge.checking import (
    Checked,
    NoAnswer,
    Party,
    Step,
    check,
    ended,
    safe_steps,
    written,
)
from cartrita.bridge.compare import Answer
from cartrita.cli.connection import connect, reachable, sessions_of
from cartrita.cli.exits import Exit
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.client import transport
from cartrita.config.load import given_token
from cartrita.errors import ServiceUnavailable

OWN_ANSWER = {"X-Bridge-Answer": "bridge"}
"""Has the bridge answer itself, however calls are shared out."""

_COLORS = {"same": "green", "more": "green", "later": "yellow"}

Url = Annotated[str, typer.Argument(metavar="URL", help="Of v2, such as `http://old:8001`.")]


def check_command(
    ctx: typer.Context,
    url: Url,
    *,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Also register an account on both, write with it, and remove it."
        ),
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(help="A token of v2's, for what it tells only those it knows."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for each answer.", min=0.1)] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Compare a v2 that runs with the bridge, route by route.

    What is compared are statuses, field names and types, never values. What the bridge says
    in addition breaks nobody. Exits with 1 when there are differences that may.
    """
    with ExitStack() as stack:
        v2, bridge, routes = _parties(ctx, url, timeout, stack)
        if token:
            v2.known["token"] = token
        _present(v2)
        steps = list(safe_steps(routes))
        if write:
            steps = _around(steps)
        found = _told(check(v2, bridge, steps), as_json=as_json)
    if not all(one.good for one in found):
        raise typer.Exit(Exit.FAILED)


def _present(v2: Party) -> None:
    """See to it that there is somebody to compare with, before all routes say that there is not."""
    try:
        v2.ask(Step("GET", "/", "GET /"))
    except NoAnswer as silence:
        raise ServiceUnavailable(f"{silence}: nothing was compared.") from None


def _around(steps: Sequence[Step]) -> list[Step]:
    """Have an account made before some steps, and ended after them."""
    email = f"bridge-check-{secrets.token_hex(6)}@example.org"
    password = f"1{secrets.token_urlsafe(18)}a"
    return [*written(email, password), *steps, *ended(password)]


def _parties(
    ctx: typer.Context, url: str, timeout: float, stack: ExitStack
) -> tuple[Party, Party, list[dict[str, Any]]]:
    """Return both sides, and what the instance says of its routes."""
    options = options_of(ctx)
    place = reachable(options)
    client = stack.enter_context(connect(options))
    routes = client.bridge_routes()
    own = (place.state.urls.get("v2") if place.own and place.state else None) or place.url
    theirs = stack.enter_context(httpx.Client(**transport.options(url.rstrip("/"))))
    ours = stack.enter_context(httpx.Client(**transport.options(own, place.ca)))
    ours.headers.update(OWN_ANSWER)
    session = sessions_of(place).read()
    signed_in = given_token() or (session.token if session else None)
    known = {"token": signed_in} if signed_in else {}
    v2 = Party("v2", _Sender(theirs, timeout, url))
    return v2, Party("the bridge", _Sender(ours, timeout, own), known), routes


class _Sender:
    """Sends steps over HTTP."""

    def __init__(self, http: httpx.Client, timeout: float, url: str) -> None:
        self._http, self._timeout, self._url = http, timeout, url

    def __call__(self, step: Step, target: str, token: str | None) -> Answer:
        """Send one."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = None if step.body is None else dict(step.body)
        try:
            response = self._http.request(
                step.method, target, json=body, headers=headers, timeout=self._timeout
            )
        except httpx.HTTPError as error:
            raise NoAnswer(f"{self._url} gave no answer ({type(error).__name__})") from None
        return _answer(response)


def _answer(response: httpx.Response) -> Answer:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    answer = Answer(response.status_code, kind)
    if not answer.is_json:
        return answer
    try:
        return Answer(response.status_code, kind, from_json(response.content))
    except ValueError:
        return Answer(response.status_code, f"{kind} that is none")


def _told(checks: Iterator[Checked], *, as_json: bool) -> list[Checked]:
    """Print what was found, and return it."""
    found = list(checks)
    if as_json:
        print_json([one.to_wire() for one in found])
        return found
    out = console()
    table = Table("Route", "v2", "Bridge", "Result", box=None, pad_edge=False)
    for one in found:
        told = [one.route, *(str(code or "none") for code in (one.v2, one.bridge))]
        result = Text(one.outcome, _COLORS.get(one.outcome, "red"))
        if one.problem:
            result.append(f": {one.problem}", "default")
        table.add_row(*map(Text, told), result)
    out.print(table)
    for one in found:
        if one.differences:
            out.print(Text(f"\n{one.route}", "bold"))
            out.print(differences_table([each.to_wire() for each in one.differences]))
    counts = {name: sum(one.outcome == name for one in found) for name in _counted(found)}
    out.print("\n" + ", ".join(f"{number} {name}" for name, number in counts.items()))
    return found


def _counted(found: Sequence[Checked]) -> list[str]:
    return list(dict.fromkeys(one.outcome for one in found))


def differences_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return differences as a table."""
    table = Table("Where", "v2", "Bridge", "Breaks", box=None, pad_edge=False)
    for row in rows:
        told = (row["where"], row["v2"], row["bridge"], "yes" if row["breaks"] else "no")
        table.add_row(*map(Text, told))
    return table
