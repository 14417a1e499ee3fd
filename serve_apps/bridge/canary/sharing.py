"""In front of the bridge: answers a call, or has v2 answer it, and has the two compared."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from cartrita.bridge.compare import Answer
from cartrita.bridge.share import Caller, Rule, Side, caller_of, side_of
from cartrita.errors import CartritaError, NetworkFailed, ServiceUnavailable
from cartrita.telemetry.metrics import BRIDGE_SERVED, labelled
from serve_apps.asgi.guard import Exchange, Guard
from serve_apps.bridge.answers import Refusal
from serve_apps.bridge.canary.hops import ANSWER, SERVED_BY
from serve_apps.bridge.canary.relay import asked_of, relay
from serve_apps.bridge.canary.shadow import Pair, Shadow
from serve_apps.bridge.canary.tape import AnswerTape, nowhere
from serve_apps.bridge.canary.upstream import SAFE, Upstream
from serve_apps.bridge.credentials import sent
from serve_apps.bridge.loop import Bridge
from serve_apps.bridge.sockets import Events
from serve_apps.bridge.table import MEGABYTE, Row, parts
from serve_apps.gateway.gate import Desk, Gate
from serve_apps.gateway.quotas import site_of

ISSUE = ("/api/auth/", "/api/api-keys/")
"""Below these are the routes whose answers hold tokens and keys."""

GUIDE = "/api/migration"
"""Where our own answers send people, of which v2 knows nothing."""

BEFORE = "/api/"
"""Only what is below this goes to v2: the rest tells of the instance itself."""

LONGEST_BODY = 1 << 20
"""Bytes of a request that is sent to both sides."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How an instance shares v2's routes.

    Attributes:
        share: Of the callers, the part that is the bridge's.
        rolled_back: Tells whether all is v2's for now.
        refuses: Whether who is v2's gets 503 while it is away, rather than the bridge's answer.
        shadow: What compares the sides; None for nothing.
        twice: Whether also what changes something is asked of both.
        edge: Whether our edge is before us and says where clients are.
    """

    upstream: Upstream
    share: float
    rolled_back: Callable[[], bool]
    refuses: bool = False
    shadow: Shadow | None = None
    twice: bool = False
    edge: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A call whose row is known."""

    row: Row
    rule: Rule
    caller: Caller
    scope: Scope
    receive: Receive
    send: Send

    @property
    def exchange(self) -> Exchange:
        """What the guard knows of it."""
        exchange: Exchange = self.scope["exchange"]
        return exchange

    @property
    def safe(self) -> bool:
        """Whether it may be made twice."""
        return self.scope["method"] in SAFE


class Sharing:
    """One gateway's bridge, beside a v2 that still runs: an `Older` as the bridge alone.

    What has no row in the bridge's table is never sent to v2.

    Args:
        own: The bridge.
        plan: Returns how the gateway that a request came to shares; None where there is no v2.
    """

    def __init__(self, own: Bridge, plan: Callable[[Scope], Plan | None]) -> None:
        self._own, self._plan = own, plan
        self.largest = own.largest
        routes = (one.route.partition(" ") for one in own.table.refused)
        self._refused = [(method, parts(path.lower())) for method, _, path in routes]

    def owns(self, scope: Scope) -> bool:
        """Tell whether a request is the bridge's or v2's to answer."""
        return self._own.owns(scope)

    def sockets(self, gate: Callable[[], Gate], desk: Callable[[], Desk]) -> Events:
        """Return what hears v2's events: the bridge, whoever else answers requests."""
        return self._own.sockets(gate, desk)

    def explain(self, error: Exception, path: str) -> Response:
        """Return an error in v2's shape."""
        return self._own.explain(error, path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        plan = self._plan(scope)
        row = self._row_of(scope) if plan else None
        if plan is None or row is None:
            await self._own(scope, receive, send)
            return
        caller = _caller(scope, edge=plan.edge)
        kept, issues = self._is_refused(row.method, row.path), row.path.startswith(ISSUE)
        rule = Rule(kept, not row.later, issues)
        side = side_of(caller, rule, plan.share, rolled_back=plan.rolled_back())
        call = Request(row, rule, caller, scope, receive, send)
        tape = AnswerTape(send) if plan.shadow and self._compares(plan, call) else None
        answered = await self._answer(plan, side, call, tape or send)
        labelled(BRIDGE_SERVED, answered).inc()
        if tape and plan.shadow:
            self._compare(plan, plan.shadow, answered, call, tape.answer())

    def _row_of(self, scope: Scope) -> Row | None:
        """Return the row of a call that v2 may get; None for what the bridge answers in any case.

        A path that others may read as another path is none of v2's.
        """
        path, method = scope["path"], scope["method"]
        exchange: Exchange = scope["exchange"]
        pieces = path.split("/")
        odd = "\\" in path or "" in pieces[1:-1] or "." in pieces or ".." in pieces
        ours = path.rstrip("/").lower() == GUIDE or ANSWER in exchange.headers
        if odd or ours or not path.lower().startswith(BEFORE):
            return None
        found = self._own.table.find(method, path)
        if found is None:
            return None
        row = found[0].row
        # v2 may read a refused route where another row of ours fits.
        return None if path != path.lower() and self._is_refused(method, path) else row

    def _is_refused(self, method: str, path: str) -> bool:
        pieces = parts(path.lower())
        return any(
            method == other and len(pieces) == len(known) and all(map(_fits, pieces, known))
            for other, known in self._refused
        )

    def _compares(self, plan: Plan, call: Request) -> bool:
        """Tell whether a call is one for both sides; if so, keep its body for the other."""
        rule, row = call.rule, call.row
        if rule.kept or rule.issues or not rule.served or call.caller.ours or row.binary:
            return False
        if not plan.twice and not (call.safe and row.task is None):  # a task costs something
            return False
        length = call.exchange.headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > LONGEST_BODY:
            return False
        call.exchange.kept = []
        return b"transfer-encoding" not in call.exchange.headers

    async def _answer(self, plan: Plan, side: Side, call: Request, send: Send) -> Side:
        """Answer a call; return who did in the end."""
        if side is Side.V2:
            call.exchange.bound(call.row.largest_mb * MEGABYTE)
            try:
                await relay(plan.upstream, call.scope, call.receive, send, ours=call.caller.ours)
            except CartritaError as error:
                if not self._unseen(error, call) or plan.refuses or plan.rolled_back():
                    await self._tell(error, call, send)
                    return side
            else:
                return side
        await self._own(call.scope, call.receive, _marked(send))
        return Side.BRIDGE

    def _unseen(self, error: CartritaError, call: Request) -> bool:
        """Tell whether the bridge may still answer what v2 did not."""
        if call.exchange.started:
            return False
        return isinstance(error, ServiceUnavailable) or (
            isinstance(error, NetworkFailed) and call.safe
        )

    async def _tell(self, error: CartritaError, call: Request, send: Send) -> None:
        if call.exchange.started:
            raise error
        told: Exception = error
        if isinstance(error, NetworkFailed):
            told = Refusal(502, "Bad gateway", error.message, code=error.code)
        response = self._own.explain(told, call.scope["path"], call.row)
        response.headers[SERVED_BY.decode()] = Side.V2
        await response(call.scope, call.receive, send)

    def _compare(
        self, plan: Plan, shadow: Shadow, answered: Side, call: Request, answer: Answer | None
    ) -> None:
        """Have the other side asked, if what was said can be compared."""
        if answer is None:
            shadow.findings.count(call.row.route, "failed")
            return
        body = b"".join(call.exchange.kept or ())
        if answered is Side.V2:
            ask = partial(self._asked_of_us, call.scope, body)
        else:
            asked = asked_of(call.scope, body or None)
            ask = partial(plan.upstream.whole, asked, shadow.timeout)
        shadow.put(Pair(call.row.route, answered, answer, ask))

    async def _asked_of_us(self, scope: Scope, body: bytes) -> Answer | None:
        """Return the bridge's own answer to a call that v2 answered."""
        headers = [item for item in scope["headers"] if item[0] != b"accept-encoding"]
        again = {**scope, "headers": headers, "mirrored": True}
        coming = [body]

        async def receive() -> Message:
            if not coming:
                await asyncio.Event().wait()  # this client never leaves
            return {"type": "http.request", "body": coming.pop(), "more_body": False}

        tape = AnswerTape(nowhere)
        await Guard(self._own, LONGEST_BODY)(again, receive, tape)
        return tape.answer()


def _fits(piece: str, known: str) -> bool:
    return piece == known or known.startswith("{") or piece.startswith("{")


def _marked(send: Send) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (SERVED_BY, b"bridge")]
        await send(message)

    return marked


def _caller(scope: Scope, *, edge: bool) -> Caller:
    exchange: Exchange = scope["exchange"]
    told = exchange.headers
    peer: Sequence[str] = scope.get("client") or ("",)
    return caller_of(
        *sent(told),
        _text(told, b"x-session-id"),
        site_of(str(peer[0]), _text(told, b"x-forwarded-for"), behind_edge=edge),
    )


def _text(headers: dict[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1").strip()
