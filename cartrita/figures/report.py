"""Puts a table's figures into a report: sections of facts, in JSON, Markdown or HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from cartrita.figures.metrics import USUAL, Figure, calculate
from cartrita.figures.profile import ColumnProfile, correlations, profile
from cartrita.figures.series import SeriesError, read
from cartrita.figures.table import Row, groups, is_number, iso_of, present
from cartrita.figures.trend import LEAST_LINE, line

ReportType = Literal["summary", "breakdown", "trend"]
Cell = str | int | float | None

MOST_GROUPS = 50
STRONG = 0.5
"""A correlation worth telling."""

LIKELY = 0.05
SHOWN_DIGITS = 6

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}th,td{border:1px solid #ccc;padding:.25rem .6rem;"
    "text-align:left}th{background:#f4f4f4}"
)


@dataclass(frozen=True, slots=True)
class Section:
    """Sentences and a table under a heading."""

    heading: str
    facts: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    rows: list[list[Cell]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is to be about."""

    kind: ReportType
    group_by: str | None = None
    value_column: str | None = None
    time_column: str | None = None


def sections(rows: Sequence[Row], asked: Asked) -> list[Section]:
    """Return what there is to tell about a table.

    Raises:
        SeriesError: A trend is asked for, and there is no series.
    """
    columns = profile(rows)
    found = [_overview(rows, columns), _figures(rows, columns)]
    if asked.group_by:
        found.append(_breakdown(rows, asked.group_by, columns))
    elif asked.kind == "breakdown":
        found += [_frequent(column) for column in columns if column.frequent]
    if asked.kind == "trend":
        found.append(_trend(rows, asked))
    elif asked.kind == "summary":
        found.append(_together(rows, columns))
    return [section for section in found if section.facts or section.rows]


def _overview(rows: Sequence[Row], columns: Sequence[ColumnProfile]) -> Section:
    facts = [f"{len(rows)} rows, {len(columns)} columns."]
    facts += [f"{c.name}: from {c.span[0]} to {c.span[1]}." for c in columns if c.span]
    facts += [f"{c.name}: {c.missing} values are missing." for c in columns if c.missing]
    facts += [f"{c.name}: {c.outliers} outliers (Tukey's fences)." for c in columns if c.outliers]
    return Section("Overview", facts)


def _figures(rows: Sequence[Row], columns: Sequence[ColumnProfile]) -> Section:
    names = [column.name for column in columns if column.kind == "number"]
    body = [[name, *_row(present(rows, name))] for name in names]
    return Section("Figures", [], ["column", *USUAL], body)


def _row(values: Sequence[Figure]) -> list[Cell]:
    numbers = [value for value in values if is_number(value)]
    return [calculate(name, numbers) for name in USUAL]


def _breakdown(rows: Sequence[Row], by: str, columns: Sequence[ColumnProfile]) -> Section:
    parts = groups(rows, [by])
    names = [column.name for column in columns if column.kind == "number" and column.name != by]
    shown = sorted(parts.items(), key=lambda part: -len(part[1]))[:MOST_GROUPS]
    body: list[list[Cell]] = [
        [key, len(members), *(calculate("sum", present(members, name)) for name in names)]
        for (key,), members in shown
    ]
    facts = [f"{len(parts)} groups."]
    if len(parts) > MOST_GROUPS:
        facts.append(f"The {MOST_GROUPS} largest are shown.")
    return Section(f"By {by}", facts, [by, "rows", *(f"sum of {name}" for name in names)], body)


def _frequent(column: ColumnProfile) -> Section:
    facts = [f"{column.distinct} different values."]
    body: list[list[Cell]] = [[value, count] for value, count in column.frequent]
    return Section(f"Most frequent: {column.name}", facts, [column.name, "rows"], body)


def _together(rows: Sequence[Row], columns: Sequence[ColumnProfile]) -> Section:
    names = [column.name for column in columns if column.kind == "number"]
    strong = [item for item in correlations(rows, names) if abs(item.r) >= STRONG]
    body: list[list[Cell]] = [[item.a, item.b, item.r, item.rows] for item in strong]
    facts = ["That two columns move together does not say why."] if strong else []
    return Section("What moves together", facts, ["column", "and", "r", "rows"], body)


def _trend(rows: Sequence[Row], asked: Asked) -> Section:
    series = read(list(rows), asked.value_column, asked.time_column)
    if series.times is None or len(series.y) < LEAST_LINE or not series.step:
        raise SeriesError(
            f"a trend needs {LEAST_LINE} numbers at different times, and a column of times"
        )
    found = line(series.days, series.y)
    way = "rises" if found.slope > 0 else "falls"
    told = f"It {way} by {_shown(abs(found.slope))} a day" if found.p < LIKELY else "No clear trend"
    bounds = f"{_shown(found.low)} to {_shown(found.high)}"
    facts = [
        f"{told}: r² {_shown(found.r2)}, p {_shown(found.p)}, 95 % interval {bounds}.",
        f"From {iso_of(series.times[0])} to {iso_of(series.times[-1])}, {len(series.y)} points.",
    ]
    return Section("Trend", facts)


def markdown(title: str, found: Sequence[Section]) -> str:
    """Return a report as Markdown."""
    blocks = [f"# {_plain(title)}"]
    for section in found:
        blocks.append(f"## {_plain(section.heading)}")
        facts = "\n".join(f"- {_plain(fact)}" for fact in section.facts)
        blocks += [text for text in (facts, _table(section)) if text]
    return "\n\n".join(blocks) + "\n"


def _table(section: Section) -> str:
    if not section.rows:
        return ""
    lines: list[Sequence[Cell]] = [section.header, ["---"] * len(section.header), *section.rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in cells) + " |" for cells in lines)


def _cell(cell: Cell) -> str:
    return _plain(_shown(cell)).replace("|", "\\|")


def _plain(text: str) -> str:
    """Return a text that stays on its line and is no markup where a page is made of it."""
    return " ".join(escape(text, quote=False).split())


def html(title: str, found: Sequence[Section]) -> str:
    """Return a report as one page that loads nothing and runs nothing."""
    body = "".join(_section(section) for section in found)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def _section(section: Section) -> str:
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in section.facts)
    head = "".join(f"<th>{escape(name)}</th>" for name in section.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(_shown(cell))}</td>" for cell in cells) + "</tr>"
        for cells in section.rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    listed = f"<ul>{facts}</ul>" if facts else ""
    return f"<h2>{escape(section.heading)}</h2>{listed}{table}"


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.{SHOWN_DIGITS}g}" if isinstance(cell, float) else str(cell)
