"""What agents may ask of the web."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a search.

    Attributes:
        snippet: What the source says of it, as plain text.
        source: Who found it.
        published: As the source tells it, in its own form.
    """

    title: str
    url: str
    snippet: str
    source: str
    published: str | None = None


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search found.

    Attributes:
        sources: Who answered.
        problems: Why others did not, one sentence each.
    """

    hits: tuple[Hit, ...]
    sources: tuple[str, ...]
    problems: tuple[str, ...] = ()


class WebSearch(Protocol):
    """Searches the web.

    Attributes:
        sources: What is asked where nobody says which; empty where none is configured.
        on_request: What is asked by its name only.
    """

    sources: tuple[str, ...]
    on_request: tuple[str, ...]

    async def search(self, query: str, limit: int, sources: Sequence[str] = ()) -> Hits:
        """Ask several sources at once and mix what they find, each address once.

        A source that is not configured, or that fails, is a problem in the answer.

        Raises:
            NetworkFailed: All of them failed.
        """


@dataclass(frozen=True, slots=True)
class Link:
    """Where a page points."""

    url: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page as text.

    Attributes:
        url: Where it is, after redirects.
        content: Its main text, a line per paragraph.
        metadata: `description`, `author`, `published`, `language` and the like, where told.
        kind: The media type.
    """

    url: str
    title: str | None
    content: str
    links: tuple[Link, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    kind: str = "text/html"


class WebFetch(Protocol):
    """Reads pages of the public internet, as their robots.txt allows."""

    async def fetch(self, url: str) -> Page:
        """Return a page.

        Raises:
            AddressRefused: It is not public, or redirects to what is not.
            AuthorizationFailed: Its robots.txt does not want us.
            NetworkFailed: It does not answer.
            AgentFailed: It is an error, too large, or nothing to read.
        """


Kind = Literal["repositories", "code", "issues", "users"]


@dataclass(frozen=True, slots=True)
class Found:
    """One thing on GitHub.

    Attributes:
        name: Full name of a repository, title of an issue, path of a file, login of a user.
        facts: `stars`, `language`, `updatedAt` and the like, where it has them.
    """

    name: str
    url: str
    description: str
    facts: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundOnGitHub:
    """What a search on GitHub found.

    Attributes:
        total: How many there are, by GitHub's count.
        cached: Whether it is an answer of a few minutes ago.
    """

    items: tuple[Found, ...]
    total: int
    cached: bool = False


class GitHubSearch(Protocol):
    """Searches GitHub."""

    async def search(
        self, kind: Kind, query: str, *, language: str | None, sort: str | None, limit: int
    ) -> FoundOnGitHub:
        """Return the best matches.

        Raises:
            RateLimitExceeded: GitHub wants us to wait; says how long.
            ConfigurationInvalid: It wants a token for that.
            InvalidParameters: It does not understand the query.
            NetworkFailed: It does not answer.
        """
