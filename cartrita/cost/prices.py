"""A price list of one's own, read again when the file changes."""

from pathlib import Path
from typing import Protocol

from cartrita.clock import Clock, SystemClock
from cartrita.cost.book import PriceBook, TokenPrice, price_book, read_book
from cartrita.errors import ConfigurationInvalid
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

LOOK_EVERY = 1.0
"""Seconds for which a price is taken on trust."""


class Prices(Protocol):
    """What tokens cost."""

    def price(self, model: str, instead: str | None = None) -> TokenPrice:
        """Return the price of a model; an unknown one may have that of another."""


class PriceFile:
    """The prices of a file over those that ship with this version.

    A file that was spoilt while the program runs is logged, and its last good form goes on.

    Raises:
        ConfigurationInvalid: On opening: the file cannot be read.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path, self._clock = path, clock or SystemClock()
        self._mark = self._found()
        self._book = self._read()
        self._looked_at = self._clock.monotonic()

    def price(self, model: str, instead: str | None = None) -> TokenPrice:
        """Return the price of a model, by the file as it was a second ago at the most."""
        return self.book.price(model, instead)

    @property
    def book(self) -> PriceBook:
        """All prices."""
        now = self._clock.monotonic()
        if now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            self._look()
        return self._book

    def _look(self) -> None:
        mark = self._found()
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._book = self._read()
        except ConfigurationInvalid as error:
            log.warning("prices_kept", error=error.message)
        else:
            log.info("prices_read", path=str(self._path), as_of=str(self._book.as_of))

    def _found(self) -> tuple[int, int, int] | None:
        try:
            told = self._path.stat()
        except OSError:
            return None
        return told.st_mtime_ns, told.st_size, told.st_ino

    def _read(self) -> PriceBook:
        try:
            return read_book(self._path.read_text("utf-8")).over(price_book())
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError) as error:
            raise ConfigurationInvalid(
                f"budgets.prices: {str(self._path)!r} cannot be read as prices: {error!r}. It has "
                "the form of cartrita/cost/prices.toml."
            ) from error


def prices_of(path: Path | None) -> Prices:
    """Return the prices of a file, or without one those that ship with this version."""
    return PriceFile(path) if path else price_book()
