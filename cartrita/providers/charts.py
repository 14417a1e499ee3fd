"""Draws charts with Matplotlib, which is imported with the first of them."""

import io
import threading
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from cartrita.errors import MissingExtra
from cartrita.providers.ports_charts import Chart, Drawing, ImageFormat, Line

DPI = 100
MOST_TICKS = 30
MOST_NOTES = 5
LEAST_BINS, MOST_BINS = 5, 60
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # `$` is money, and TeX of strangers stays text
    "svg.fonttype": "none",  # text that can be read, searched and spoken
    "svg.hashsalt": "cartrita",
    "figure.constrained_layout.use": True,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}


class Matplotlib:
    """Draws one chart at a time: the library is not made for threads."""

    def __init__(self) -> None:
        self._drawing = threading.Lock()

    def draw(self, chart: Chart, form: ImageFormat) -> Drawing:
        """Return an image.

        Raises:
            MissingExtra: Matplotlib is not installed.
        """
        with self._drawing, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = _drawn(chart, form)
        notes = dict.fromkeys(str(item.message) for item in caught if _of_interest(item))
        return Drawing(data, tuple(notes)[:MOST_NOTES])


def _of_interest(item: warnings.WarningMessage) -> bool:
    return issubclass(item.category, UserWarning)


def _drawn(chart: Chart, form: ImageFormat) -> bytes:
    try:
        import matplotlib as mpl  # noqa: PLC0415 - 0.5 s and 60 MB
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra(
            "Drawing charts needs Matplotlib: pip install 'cartrita[charts]'."
        ) from error
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(chart.width / DPI, chart.height / DPI), dpi=DPI)
        axes = figure.add_subplot()
        _DRAWERS[chart.kind](axes, chart)
        axes.set_title(chart.title)
        if chart.kind != "pie":
            axes.set_xlabel(chart.x_label)
            axes.set_ylabel(chart.y_label)
        if len(chart.lines) > 1 and chart.kind not in ("pie", "box"):
            axes.legend()
        target = io.BytesIO()
        about = {"Date": None, "Title": chart.title} if form == "svg" else {"Title": chart.title}
        figure.savefig(target, format=form, metadata=about)
    return target.getvalue()


def _along(chart: Chart) -> Sequence[Any]:
    """Return what the axis shows."""
    if not chart.times:
        return chart.x
    return [datetime.fromtimestamp(float(instant), UTC) for instant in chart.x]


def _numbers(line: Line) -> list[float]:
    return [float("nan") if value is None else value for value in line.values]


def _present(line: Line) -> list[float]:
    return [value for value in line.values if value is not None]


def _line(axes: Any, chart: Chart) -> None:
    for line in chart.lines:
        axes.plot(_along(chart), _numbers(line), label=line.name, marker=_marker(line))
    _thin(axes, chart)


def _marker(line: Line) -> str:
    return "o" if len(line.values) <= MOST_TICKS else ""


def _area(axes: Any, chart: Chart) -> None:
    for line in chart.lines:
        drawn = axes.plot(_along(chart), _numbers(line), label=line.name)
        axes.fill_between(_along(chart), _numbers(line), alpha=0.3, color=drawn[0].get_color())
    _thin(axes, chart)


def _scatter(axes: Any, chart: Chart) -> None:
    for line in chart.lines:
        axes.scatter(_along(chart), _numbers(line), label=line.name, s=16)
    _thin(axes, chart)


def _bar(axes: Any, chart: Chart) -> None:
    wide = 0.8 / len(chart.lines)
    labels = [str(value) for value in chart.x]
    if chart.times:
        labels = [f"{when:%Y-%m-%d}" for when in _along(chart)]
    for place, line in enumerate(chart.lines):
        shift = (place - (len(chart.lines) - 1) / 2) * wide
        at = [index + shift for index in range(len(labels))]
        axes.bar(at, _numbers(line), wide, label=line.name)
    step = -(-len(labels) // MOST_TICKS) or 1
    axes.set_xticks(range(0, len(labels), step), labels[::step], **_slanted(labels))


def _slanted(labels: Sequence[str]) -> dict[str, Any]:
    room = 90
    crowded = sum(len(label) for label in labels[:MOST_TICKS]) > room
    return {"rotation": 45, "ha": "right"} if crowded else {}


def _thin(axes: Any, chart: Chart) -> None:
    """Show some of the labels, where they are texts and many."""
    labels = [value for value in chart.x if isinstance(value, str)]
    if labels and not chart.times:
        step = -(-len(labels) // MOST_TICKS) or 1
        axes.set_xticks(range(0, len(labels), step), labels[::step], **_slanted(labels))


def _histogram(axes: Any, chart: Chart) -> None:
    values = [_present(line) for line in chart.lines]
    # Rules that go by the spread make billions of bins of one far outlier.
    bins = min(max(map(len, values)), MOST_BINS**2) ** 0.5
    axes.hist(values, bins=max(round(bins), LEAST_BINS), label=[line.name for line in chart.lines])


def _box(axes: Any, chart: Chart) -> None:
    axes.boxplot([_present(line) for line in chart.lines])
    axes.set_xticks(range(1, len(chart.lines) + 1), [line.name for line in chart.lines])


def _pie(axes: Any, chart: Chart) -> None:
    axes.pie(
        [value or 0.0 for value in chart.lines[0].values],
        labels=[str(value) for value in chart.x],
        autopct="%1.1f%%",
        counterclock=False,
        startangle=90,
    )


_DRAWERS: dict[str, Callable[[Any, Chart], None]] = {
    "line": _line,
    "area": _area,
    "bar": _bar,
    "scatter": _scatter,
    "histogram": _histogram,
    "box": _box,
    "pie": _pie,
}
