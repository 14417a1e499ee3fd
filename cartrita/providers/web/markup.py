"""Has HTML read where it can do no harm."""

import asyncio
import json

from cartrita.errors import AgentFailed
from cartrita.providers.embedded.children import Children
from cartrita.providers.ports_web import Link, Page

RUNNING = 2
"""Pages at a time; each has a process."""

PAGES_PER_PROCESS = 500
"""After these a process is replaced, so that no leak grows for ever."""

SECONDS = 8.0
"""For one page. One of 5 MB takes one of them, unless it was made to take for ever."""


class Markup:
    """A parser in a process that can be killed.

    HTML's rules take quadratic time and memory for what is nested deeply, has many attributes or
    never closes what it emphasises: five megabytes can keep a core busy for half an hour.
    The process starts with the first page, has an empty environment and little memory, and is
    kept unless its page had to be given up.

    Args:
        seconds: For one page.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._places = asyncio.Semaphore(RUNNING)
        self._children = Children("cartrita.providers.web.markupchild", PAGES_PER_PROCESS)

    async def read(self, url: str, text: str, kind: str) -> Page:
        """Return what a page says.

        Raises:
            AgentFailed: It takes too long, or too much memory.
        """
        request = json.dumps([url, text, kind]).encode()
        async with self._places:
            try:
                async with asyncio.timeout(self._seconds):
                    answer = await self._children.ask(request, again=True)
            except TimeoutError:
                answer = None
        if answer is None:
            raise AgentFailed(f"{url!r} is built so that reading it takes too much.")
        told = json.loads(answer)
        return Page(**(told | {"links": tuple(Link(**link) for link in told["links"])}))

    def close(self) -> None:
        """End the process that waits for the next page."""
        self._children.close()
