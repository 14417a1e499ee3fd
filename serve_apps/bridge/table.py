"""The table: what each route of v2 becomes, read from the TOML files in `rows`."""

import inspect
import tomllib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from cartrita.errors import ConfigurationInvalid
from cartrita.protocol.task import MAX_TIMEOUT_MS, MIN_TIMEOUT_MS
from serve_apps.bridge.expressions import Expression

ROWS = Path(__file__).with_name("rows")
SERVICES = "serve_apps.bridge.services"
REFUSED = "refused.toml"

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SOCKET = "socket"

VERBS = ("task", "service", "page", "later")
MEGABYTE = 1 << 20

Service = Callable[..., Awaitable[Any]]
"""Takes the call and the parameters; its result is the document's `result`."""

Auth = Literal["nobody", "guest", "user", "key", "flexible", "admin"]
Expr = Annotated[Expression, PlainValidator(lambda text: Expression(_text(text)))]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text")  # noqa: TRY004 - pydantic wants this one
    return value


class Entry(BaseModel):
    """A table of a file: nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


File = TypeVar("File", bound=Entry)


class Demand(Entry):
    """What the input must fulfil, and what v2 says when it does not."""

    unless: Expr
    status: int = Field(default=400, ge=400, le=599)
    error: str


class Words(Entry):
    """How v2 tells of an error."""

    status: int | None = Field(default=None, ge=400, le=599)
    error: str | None = None


class Told(Entry):
    """An event that goes to a socket."""

    event: str
    data: Expr | None = None


class Row(Entry):
    """What one route becomes.

    Attributes:
        route: `POST /api/chat/{id}`, or `socket <event>`.
        task: A task type that is run.
        service: `<file>.<function>` in `services`.
        page: The body, out of the call alone.
        later: The team that is not there yet: 501.
        takes: The parameters of the task or service; nulls in it are left out.
        session: The conversation that the task belongs to; `session` in the document.
        preferences: Those of the task.
        timeout: Milliseconds that the task has; by default its type's.
        gives: The body; by default the result.
        streams: The answer is server-sent events: what each `piece` of the text that the task
            writes becomes, and its `result` where nothing was shown while it was written.
        binary: The body is bytes, or a blob.
        reveals: The body is there to show a secret, and is not redacted.
        multipart: The fields in which forms may send files.
        largest_mb: The largest body, in MB.
        counted: Whether the request counts, of whoever has no token by the address; by default
            where somebody asks for what is no task, which the Door counts.
        begins: Told a socket before.
        tells: The event with the body.
        ends: Told a socket after, whatever became of it.
        fails: The event that tells of errors; `body` is then v2's error.
        seen: What it was in v2: really at work, mocked, broken, absent.
        by: Who is known to call it.
        note: What is different from v2, and why.
    """

    route: str = Field(pattern=r"^((GET|POST|PUT|PATCH|DELETE) /\S*|socket \S+)$")
    task: str | None = None
    service: str | None = Field(default=None, pattern=r"^[a-z_]+\.[a-z][a-z0-9_]*$")
    page: Expr | None = None
    later: str | None = None
    auth: Auth = "nobody"
    takes: Expr | None = None
    session: Expr | None = None
    preferences: Expr | None = None
    timeout: int | None = Field(default=None, ge=MIN_TIMEOUT_MS, le=MAX_TIMEOUT_MS)
    gives: Expr | None = None
    streams: Expr | None = None
    status: int = Field(default=200, ge=200, le=299)
    binary: bool = False
    reveals: bool = False
    refuse: tuple[Demand, ...] = ()
    errors: dict[str, Words] = {}
    multipart: tuple[str, ...] = ()
    largest_mb: int = Field(default=10, ge=1, le=64)
    counted: bool | None = None
    begins: Told | None = None
    tells: str | None = None
    ends: Told | None = None
    fails: str | None = None
    seen: Literal["R", "M", "B", "absent"] = "R"
    by: tuple[str, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        chosen = [name for name in VERBS if getattr(self, name) is not None]
        if len(chosen) != 1:
            raise ValueError(f"needs one of {', '.join(VERBS)}, and has {len(chosen)}")
        if self.task and self.auth == "nobody":
            raise ValueError("runs a task for nobody: give `auth`, `guest` at least")
        if self.streams and not self.task:
            raise ValueError("streams what a task writes: name the `task`")
        if self.method == SOCKET and not (self.tells or self.later):
            raise ValueError("is of a socket: give the event that `tells` of the answer")
        return self

    @property
    def method(self) -> str:
        """The method, or `socket`."""
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path, or the event."""
        return self.route.partition(" ")[2]

    @property
    def counts(self) -> bool:
        """Whether the request counts."""
        usual = self.task is None and self.auth != "nobody"
        return usual if self.counted is None else self.counted

    def reads(self, *path: str) -> bool:
        """Tell whether an expression of this row names such a field."""
        told = [self.begins and self.begins.data, self.ends and self.ends.data]
        found = [self.page, self.takes, self.session, self.preferences, self.gives, *told]
        found += [demand.unless for demand in self.refuse]
        return any(one.reads(*path) for one in found if one)


class Refused(Entry):
    """A route, or a way in, of v2 that is never ported.

    Attributes:
        route: As a row's; a way in that is no route stands here in words.
        status: 404, or 401 for what there is for those who signed in: it has a row, too.
    """

    route: str
    status: Literal[401, 404]
    why: str


class Rows(Entry):
    """A file of rows."""

    row: tuple[Row, ...] = ()
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """A row with all that can be known before a call.

    Attributes:
        service: The function that the row names.
        account: Whether the row reads what only the account knows, such as `user.name`.
        timed: Whether it reads the time.
    """

    row: Row
    service: Service | None
    account: bool
    timed: bool


ACCOUNT = ("name", "email", "v2Id", "createdAt")
"""What of `user` costs a look at the database."""


class Table:
    """All rows, found by method and path.

    Raises:
        ConfigurationInvalid: Two rows have one route, or what a row names does not exist.
    """

    def __init__(self, rows: Iterable[Row], refused: Iterable[Refused] = ()) -> None:
        self.rows, self.refused = tuple(rows), tuple(refused)
        self._exact: dict[tuple[str, str], Ready] = {}
        self._shapes: dict[str, dict[str, Any]] = {}
        for row in self.rows:
            self._add(row)
        self.largest: int = max((row.largest_mb for row in self.rows), default=1) * MEGABYTE
        for one in self.refused:
            self._check(one)

    def _add(self, row: Row) -> None:
        account = any(row.reads("user", name) for name in ACCOUNT)
        ready = Ready(row, _service(row), account, row.reads("now"))
        shape = self._shapes.setdefault(row.method, {})
        for part in parts(row.path):
            shape = shape.setdefault(_ANY if part.startswith("{") else part.lower(), {})
        if _END in shape:
            raise ConfigurationInvalid(f"Two rows of the bridge have the route {row.route!r}.")
        shape[_END] = ready
        if "{" not in row.path:
            self._exact[row.method, _plain(row.path)] = ready

    def _check(self, one: Refused) -> None:
        method, _, path = one.route.partition(" ")
        if method not in METHODS:
            return
        found = self.find(method, path)
        if (one.status == 404) is not (found is None):  # noqa: PLR2004 - HTTP's own
            raise ConfigurationInvalid(
                f"{one.route!r} is refused with {one.status}, so it "
                f"{'has no' if found else 'needs a'} row."
            )
        if found and found[0].row.auth in ("nobody", "guest"):
            raise ConfigurationInvalid(f"{one.route!r} is refused to those without a token.")

    def find(self, method: str, path: str) -> tuple[Ready, dict[str, str]] | None:
        """Return the row of a route and what stands in its path's places.

        Capitals are as good as small letters, as for v2's Express.
        """
        exact = self._exact.get((method, _plain(path)))
        if exact is not None:
            return exact, {}
        values: list[str] = []
        ready = _walk(self._shapes.get(method, {}), parts(path), values)
        if ready is None:
            return None
        names = [part[1:-1] for part in parts(ready.row.path) if part.startswith("{")]
        return ready, dict(zip(names, values, strict=True))

    @property
    def events(self) -> dict[str, Ready]:
        """The rows of sockets, by their events."""
        found = self._exact.items()
        return {ready.row.path: ready for (method, _), ready in found if method == SOCKET}


_ANY, _END = "/{}", "/"
"""What takes anything, and the end, where pieces of paths stand, none of which has a slash."""


def _plain(path: str) -> str:
    return path.rstrip("/").lower() or "/"


def parts(path: str) -> list[str]:
    """Return what stands between a path's slashes."""
    return [part for part in path.split("/") if part]


def _walk(shape: dict[str, Any], rest: list[str], values: list[str]) -> Ready | None:
    """Find a row; what is written out goes before what takes anything."""
    if not rest:
        found: Ready | None = shape.get(_END)
        return found
    piece = rest[0].lower()
    if piece in shape:
        found = _walk(shape[piece], rest[1:], values)
        if found:
            return found
    if _ANY not in shape:
        return None
    known = len(values)
    values.append(rest[0])
    found = _walk(shape[_ANY], rest[1:], values)
    if found is None:
        del values[known:]
    return found


def _service(row: Row) -> Service | None:
    if row.service is None:
        return None
    group, _, name = row.service.partition(".")
    try:
        found = getattr(import_module(f"{SERVICES}.{group}"), name, None)
    except ModuleNotFoundError:
        found = None
    if not inspect.iscoroutinefunction(found):
        raise ConfigurationInvalid(
            f"{row.route}: service: there is no async function {name!r} in {SERVICES}.{group}."
        )
    return found


def load(folder: Path = ROWS) -> Table:
    """Read all rows.

    Raises:
        ConfigurationInvalid: A row is wrong; the message names file, route and field.
    """
    files = [read_entries(path, Rows) for path in sorted(folder.glob("*.toml"))]
    rows = [row for file in files for row in file.row]
    return Table(rows, [one for file in files for one in file.refused])


def read_entries(path: Path, form: type[File]) -> File:
    """Read a file of entries.

    Raises:
        ConfigurationInvalid: One is wrong; the message names file, entry and field.
    """
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationInvalid(f"{path.name}: {error}") from None
    try:
        return form.model_validate(text)
    except ValidationError as error:
        raise ConfigurationInvalid(f"{path.name}: {_wrong(text, error)}") from None


def _wrong(text: dict[str, Any], error: ValidationError) -> str:
    """Return which entry is wrong, and in what."""
    first = error.errors(include_url=False)[0]
    place = list(first["loc"])
    kind = str(place[0]) if place else "file"
    if len(place) > 1 and isinstance(place[1], int):
        entry, number = text[kind][place[1]], f"{kind} {place[1] + 1}"
        if isinstance(entry, dict):
            kind = str(entry.get("route") or entry.get("name") or number)
    field = ".".join(map(str, place[2:])) or "row"
    return f"{kind}: {field}: {first['msg'].removeprefix('Value error, ')}"
