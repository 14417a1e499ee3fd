"""Tells times, in any time zone."""

from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from cartrita.context import Context
from cartrita.providers.embedded import spoken
from cartrita.providers.embedded.intent import CLOCK
from cartrita.tools.declare import Input, Tools, tool


class NowInput(Input):
    """Where, and how to write it."""

    zone: str = Field(default="UTC", max_length=100, description="IANA zone or a known city.")
    format: Literal["text", "iso"] = "text"


class ConversionInput(Input):
    """A local time and two zones."""

    time: str = Field(
        max_length=40, description="A date and time such as 2026-03-08T14:30, without an offset."
    )
    from_tz: str = Field(max_length=100, description="The zone it is of, such as Europe/Berlin.")
    to_tz: str = Field(max_length=100, description="The zone to tell it in.")


class ClockTools(Tools):
    """Times, by the task's clock and the IANA database."""

    @tool(CLOCK)
    async def now(self, given: NowInput, ctx: Context) -> str:
        """Tell the date, the weekday and the time in an IANA time zone such as Europe/Berlin."""
        zone = _zone(given.zone)
        now = datetime.fromtimestamp(ctx.clock.now(), UTC).astimezone(zone)
        if given.format == "iso":
            return now.isoformat(timespec="seconds")
        return f"{now:%A %Y-%m-%d %H:%M} {zone.key}"

    @tool("timezone_converter")
    async def convert(self, given: ConversionInput, ctx: Context) -> dict[str, str]:
        """Convert a local date and time from one time zone to another, daylight saving included."""
        here, there = _zone(given.from_tz), _zone(given.to_tz)
        instants = _instants(_local(given.time), here)
        answer = {"from": _shown(instants[0], here), "to": _shown(instants[0], there)}
        if len(instants) > 1:
            answer["note"] = (
                f"Clocks were put back: {given.time} happens twice in {here.key}; the second time "
                f"is {_shown(instants[1], there)}."
            )
        return answer


def _zone(name: str) -> ZoneInfo:
    found = spoken.zone(name)
    if found is None:
        raise ValueError(f"there is no time zone {name!r}; name one such as Europe/Berlin")
    return ZoneInfo(found)


def _local(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date and time such as 2026-03-08T14:30") from None
    if time.tzinfo is not None:
        raise ValueError("give the time without an offset; from_tz says where it is meant")
    return time


def _instants(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the moments at which clocks show a local time: one, or two when they are put back.

    Raises:
        ValueError: None, as clocks are put forward over it.
    """
    try:
        moments = [local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    except OverflowError:
        raise ValueError(f"{local} is too far away to convert") from None
    real = [moment for moment in moments if _reads(moment, local, zone)]
    if not real:
        skipped = abs(moments[0] - moments[1]) // timedelta(minutes=1)
        raise ValueError(
            f"{local} does not exist in {zone.key}: clocks are put forward {skipped} minutes then"
        )
    return list(dict.fromkeys(real))


def _reads(moment: datetime, local: datetime, zone: ZoneInfo) -> bool:
    return moment.astimezone(zone).replace(tzinfo=None) == local


def _shown(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone).isoformat(timespec='minutes')} {zone.key}"
