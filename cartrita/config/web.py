"""The tables of the settings file about the web: where we may go, and what we ask there."""

from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from cartrita.config.kinds import HttpUrl, Names, Section, also

HIGHEST_PORT = 65535


class Egress(Section):
    """Where callers, models and pages may send us."""

    allow: Names = Field(
        default=(),
        description="Networks that may be called although they are not public, separated by "
        "commas: `10.1.0.0/16` for an intranet's pages. Every caller reaches them then.",
    )
    ports: Names = Field(
        default=("80", "443"),
        description="Ports that may be called: numbers and ranges such as `8000-8999`.",
    )
    hosts: Names = Field(
        default=(),
        description="Only these hosts, and what is below them; unset is all that are public.",
    )
    max_bytes: int = Field(
        default=5 << 20, ge=1024, le=1 << 30, description="Largest answer, packed and unpacked."
    )
    timeout_s: float = Field(
        default=10.0, gt=0, le=300, description="Seconds for one answer, redirects included."
    )
    redirects: int = Field(default=5, ge=0, le=20, description="Redirects that are followed.")
    user_agent: str = Field(
        default="Cartrita/3.0",
        pattern=r"^[!-~]+( [!-~]+)*$",
        max_length=200,
        description="Who we say we are. What stands before the first `/` is the name that a "
        "robots.txt can address.",
    )

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for network in self.allow:
            ip_network(network, strict=False)
        for text in self.ports:
            first, _, last = text.partition("-")
            if not 1 <= int(first) <= int(last or first) <= HIGHEST_PORT:
                raise ValueError(f"{text!r} is no port and no range of ports")
        return self


ENGINES = ("tavily", "serp", "brave", "searxng")


def _engines(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in ENGINES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no search engine; there are {', '.join(ENGINES)}")
    return names


class Web(Section):
    """Search engines and GitHub; Tavily's key is `models.tavily_api_key`.

    Without any search engine, `research.web.search` looks through what the tenant stored.
    """

    serpapi_api_key: Annotated[SecretStr | None, also("SERPAPI_API_KEY")] = Field(
        default=None, description="Key of SerpAPI, for Google's results."
    )
    brave_api_key: Annotated[SecretStr | None, also("BRAVE_API_KEY")] = Field(
        default=None, description="Key of Brave's search API."
    )
    searxng_url: Annotated[HttpUrl | None, also("SEARXNG_URL")] = Field(
        default=None, description="Address of a SearXNG whose `search.formats` have `json`."
    )
    chain: Annotated[Names, AfterValidator(_engines)] = Field(
        default=(),
        description="Search engines that are asked one after another, until one finds something, "
        "in this order, and those that it does not name after them; unset asks all at once.",
    )
    hedge_after_s: float | None = Field(
        default=None,
        gt=0,
        le=600,
        description="Seconds after which a search engine or GitHub is asked a second time beside "
        "a slow call, which may be paid; unset never.",
    )
    github_token: SecretStr | None = Field(
        default=None,
        description="Token for GitHub's search; code is searched with one only. What it may see, "
        "every caller finds.",
    )
    tavily_url: HttpUrl = Field(
        default="https://api.tavily.com", description="Address of Tavily's API."
    )
    serpapi_url: HttpUrl = Field(default="https://serpapi.com", description="Address of SerpAPI.")
    brave_url: HttpUrl = Field(
        default="https://api.search.brave.com", description="Address of Brave's API."
    )
    github_url: HttpUrl = Field(
        default="https://api.github.com", description="Address of GitHub's API."
    )
    wikipedia_url: HttpUrl = Field(
        default="https://en.wikipedia.org", description="The Wikipedia that is searched on request."
    )
    arxiv_url: HttpUrl = Field(
        default="https://export.arxiv.org", description="Address of arXiv's API."
    )
