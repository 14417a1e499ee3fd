"""Asks v2 and the bridge for the same things, in one order, and compares what they say."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cartrita.bridge.compare import Answer, Difference, breaking, differences

Outcome = Literal["same", "more", "different", "later", "failed"]
"""`more` is what only the bridge says, in addition; `later` what it says 501 to."""

QUERIES = {
    "/api/knowledge/search": "q=hello",
    "/api/workflow-tools/search": "q=hello",
    "/api/workflow-tools/manual/search": "q=hello",
    "/api/internal/registry/search": "q=hello",
    "/api/contacts/search": "q=hello",
    "/api/email/search": "q=hello",
}
"""What GETs need that find nothing without."""

SILENT = frozenset({"/metrics", "/api/migration"})
"""What v2 never answered, or never had."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to ask for.

    Attributes:
        path: With names in braces for what earlier answers told.
        route: As the table has it.
        private: Whether the token goes with it.
        keeps: Names for what later steps need, each with its path in the answer.
    """

    method: str
    path: str
    route: str
    private: bool = False
    query: str = ""
    body: Mapping[str, Any] | None = None
    keeps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checked:
    """How the two answers to one thing compared; a side that said nothing has no status."""

    route: str
    outcome: Outcome
    v2: int | None = None
    bridge: int | None = None
    differences: tuple[Difference, ...] = ()
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether no client has reason to complain."""
        return self.outcome in ("same", "more", "later")

    def to_wire(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "route": self.route,
            "outcome": self.outcome,
            "v2": self.v2,
            "bridge": self.bridge,
            "differences": [one.to_wire() for one in self.differences],
            "problem": self.problem,
        }


class NoAnswer(Exception):
    """A side said nothing; the text tells why."""


@dataclass(slots=True)
class Party:
    """One of the two.

    Attributes:
        send: Sends a step to a path with a query, perhaps with a token; raises `NoAnswer`.
        known: What its answers told that later steps need; `token` is one.
    """

    name: str
    send: Callable[[Step, str, str | None], Answer]
    known: dict[str, str] = field(default_factory=dict)

    def ask(self, step: Step) -> Answer:
        """Ask for something, and remember of the answer what is to be kept.

        Raises:
            NoAnswer: There is none, or an earlier one did not tell what this needs.
        """
        try:
            path = step.path.format_map(self.known)
        except KeyError as error:
            raise NoAnswer(f"{self.name} told no {error.args[0]!r} before") from None
        target = f"{path}?{step.query}" if step.query else path
        answer = self.send(step, target, self.known.get("token") if step.private else None)
        for name, place in step.keeps.items():
            found = _at(answer.body, place)
            if isinstance(found, str | int):
                self.known[name] = str(found)
        return answer


def _at(body: Any, place: str) -> Any:
    for name in place.split("."):
        body = body.get(name) if isinstance(body, Mapping) else None
    return body


def safe_steps(routes: Iterable[Mapping[str, Any]]) -> Iterator[Step]:
    """Yield a step for each route that only reads and needs no id.

    Args:
        routes: As the instance lists them: `route`, `state`, `auth`.
    """
    for row in routes:
        method, _, path = row["route"].partition(" ")
        if method == "GET" and row["state"] == "served" and "{" not in path and path not in SILENT:
            private = row["auth"] not in ("nobody", "guest")
            yield Step(method, path, row["route"], private, QUERIES.get(path, ""))


def check(v2: Party, bridge: Party, steps: Iterable[Step]) -> Iterator[Checked]:
    """Ask both for each step, one after the other, and tell how they compare."""
    for step in steps:
        try:
            theirs = v2.ask(step)
        except NoAnswer as silence:
            problem = str(silence)
            yield Checked(step.route, "failed", problem=problem)
            continue
        try:
            ours = bridge.ask(step)
        except NoAnswer as silence:
            yield Checked(step.route, "failed", theirs.status, problem=str(silence))
            continue
        yield compared(step.route, theirs, ours)


NOT_YET = 501


def compared(route: str, v2: Answer, bridge: Answer) -> Checked:
    """Tell how two answers compare."""
    if bridge.status == NOT_YET != v2.status:
        return Checked(route, "later", v2.status, bridge.status)
    found = tuple(differences(v2, bridge))
    outcome: Outcome = "different" if breaking(found) else "more" if found else "same"
    return Checked(route, outcome, v2.status, bridge.status, found)


def written(email: str, password: str) -> tuple[Step, ...]:
    """Return what a throw-away account does first.

    Args:
        email: Of an account that neither side has.
        password: At least eight signs, a letter and a digit among them.
    """
    who = {"email": email, "password": password}
    return (
        _post("/api/auth/register", {**who, "name": "Bridge check"}, keeps={"token": "token"}),
        _post("/api/auth/login", who, keeps={"token": "token"}),
        _post("/api/auth/login", {"email": email, "password": "wrong"}),
        _get("/api/auth/verify"),
        _post("/api/chat/message", {"message": "What is two and two?"}, private=True),
        _post("/api/chat/message", {}, private=True),
        _post("/api/agent/chat", {"message": "What is two and two?"}),
        _get("/api/chat/history"),
        _get("/api/chat/stats"),
        _get("/api/chat/structured"),
        _post("/api/mcp/task", {"taskType": "system.echo", "parameters": {}}, private=True),
        _post("/api/mcp/task", {}, private=True),
        _post("/api/unified/inference", {}),
        _get("/api/user/me"),
        _put("/api/user/preferences", {"verbosity": "normal"}),
        _get("/api/user/preferences"),
        _put("/api/settings", {"theme": "dark"}),
        _get("/api/settings"),
        _put("/api/persona", {"traits": {"humor": 4}}),
        _get("/api/persona"),
        _post("/api/api-keys/create", {"name": "check"}, private=True, keeps={"key": "id"}),
        _get("/api/api-keys/list"),
    )


def ended(password: str) -> tuple[Step, ...]:
    """Return how it takes back what it did, and ends."""
    return (
        Step("DELETE", "/api/api-keys/{key}", "DELETE /api/api-keys/{keyId}", private=True),
        Step("DELETE", "/api/chat/history", "DELETE /api/chat/history", private=True),
        Step(
            "DELETE",
            "/api/user/me",
            "DELETE /api/user/me",
            private=True,
            body={"confirm_password": password},
        ),
    )


def _get(path: str) -> Step:
    return Step("GET", path, f"GET {path}", private=True)


def _put(path: str, body: Mapping[str, Any]) -> Step:
    return Step("PUT", path, f"PUT {path}", private=True, body=body)


def _post(
    path: str,
    body: Mapping[str, Any],
    *,
    private: bool = False,
    keeps: Mapping[str, str] | None = None,
) -> Step:
    return Step("POST", path, f"POST {path}", private, body=body, keeps=keeps or {})
