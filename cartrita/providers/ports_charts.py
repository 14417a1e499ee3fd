"""What agents may ask of whoever draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

ChartType = Literal["line", "area", "bar", "scatter", "histogram", "box", "pie"]
ImageFormat = Literal["png", "svg"]


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its name and its values, None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """What to draw.

    Attributes:
        x: What stands along the axis: numbers, seconds since 1970 where `times`, or labels.
        lines: One or several series, each as long as `x`; a histogram or box needs no `x`.
        width, height: In pixels.
    """

    kind: ChartType
    x: Sequence[float | str]
    lines: Sequence[Line]
    times: bool = False
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    width: int = 960
    height: int = 540


@dataclass(frozen=True, slots=True)
class Drawing:
    """An image, and what was wrong with it.

    Attributes:
        data: PNG, or SVG in UTF-8.
        notes: Such as letters that the font does not have.
    """

    data: bytes
    notes: tuple[str, ...] = ()


class Draughtsman(Protocol):
    """Draws charts."""

    def draw(self, chart: Chart, form: ImageFormat) -> Drawing:
        """Return an image; blocks for as long as drawing takes.

        Raises:
            MissingExtra: What draws is not installed.
        """
