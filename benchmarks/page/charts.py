"""Draws the page's charts. The colours are those of Okabe and Ito, which nobody confuses."""

from collections.abc import Callable, Iterable, Sequence
from math import isnan, nan
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.page.figures import NoFigure, Results

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY, YELLOW = "#56B4E9", "#CC79A7", "#999999", "#F0E442"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW, GREY)

STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.dpi": 110,
    "svg.hashsalt": "cartrita",
}

Chart = Callable[[Axes, Results], None]
CHARTS: dict[str, Chart] = {}


def chart(drawing: Chart) -> Chart:
    """Have a function draw the chart of its name."""
    CHARTS[drawing.__name__] = drawing
    return drawing


def draw(names: Iterable[str], results: Results, folder: Path) -> None:
    """Draw charts as PNG, and remove those of a folder that are not among them."""
    chosen = set(names)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        if old.stem not in chosen:
            old.unlink()
    with mpl.rc_context(STYLE):
        for name in sorted(chosen):
            figure = Figure(figsize=(7.2, 3.4), layout="constrained")
            CHARTS[name](figure.subplots(), results)
            figure.savefig(folder / f"{name}.png", metadata={"Software": None})


def bars(
    axes: Axes,
    names: Sequence[str],
    series: dict[str, Sequence[float]],
    form: str = "{:,.0f}",
    colours: Sequence[str] = COLOURS,
) -> None:
    """Draw groups of bars with their figures on top."""
    width = 0.8 / len(series)
    for number, ((label, values), colour) in enumerate(zip(series.items(), colours, strict=False)):
        left = (number - (len(series) - 1) / 2) * width
        places = [place + left for place in range(len(names))]
        drawn = axes.bar(places, values, width * 0.92, label=label, color=colour)
        texts = ["" if isnan(value) else form.format(value) for value in values]
        axes.bar_label(drawn, texts, padding=1, fontsize=7.5)
    axes.set_xticks(range(len(names)), names)
    axes.margins(y=0.12)
    if len(series) > 1:
        axes.legend(ncols=min(len(series), 4), loc="upper left", fontsize=8)


def beside(axes: Axes, values: dict[str, float], form: str = "{:,.0f}", ours: str = "") -> None:
    """Draw horizontal bars, the first on top; ours in a colour of its own."""
    names = list(values)[::-1]
    colours = [ORANGE if name == ours else BLUE for name in names]
    drawn = axes.barh(names, [values[name] for name in names], color=colours)
    axes.bar_label(drawn, fmt=form.format, padding=3, fontsize=8)
    axes.margins(x=0.12)


def stacked(axes: Axes, names: Sequence[str], parts: dict[str, Sequence[float]]) -> None:
    """Draw horizontal bars made of parts, the first on top."""
    begun = [0.0] * len(names)
    for (label, values), colour in zip(parts.items(), COLOURS, strict=False):
        axes.barh(names, values, left=begun, label=label, color=colour)
        begun = [so_far + value for so_far, value in zip(begun, values, strict=True)]
    axes.invert_yaxis()
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.18), fontsize=8)


def known(results: Results, expression: str, otherwise: float = nan) -> Any:
    """Return a figure, or something else, such as a gap, where there is none."""
    try:
        return results.value(expression)
    except NoFigure:
        return otherwise


def lines(
    axes: Axes, across: Sequence[float], series: dict[str, Sequence[float]], marker: str = "o"
) -> None:
    """Draw curves with their names."""
    for (label, values), colour in zip(series.items(), COLOURS, strict=False):
        axes.plot(across, values, marker=marker, markersize=4, label=label, color=colour)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", linewidth=0.4, color=GREY, alpha=0.5)
    if len(series) > 1:
        axes.legend(fontsize=8)


def panels(axes: Axes, number: int) -> list[Axes]:
    """Divide a chart into several, side by side."""
    figure, place = axes.figure, axes.get_subplotspec()
    assert place is not None
    axes.remove()
    return [figure.add_subplot(part) for part in place.subgridspec(1, number)]
