"""Tests of cartrita/figures/report.py."""

import pytest

from cartrita.figures.report import Asked, html, markdown, sections
from cartrita.figures.series import SeriesError

ROWS = [
    {"day": f"2026-01-{day:02}", "city": city, "sold": day * 2 + extra, "spent": day}
    for day, city, extra in ((1, "Rome", 0), (2, "Oslo", 0.1), (3, "Rome", -0.1), (4, "Oslo", 0))
]


def told(asked, rows=ROWS):
    return {section.heading: section for section in sections(rows, asked)}


def test_a_summary_has_figures_and_what_moves_together():
    found = told(Asked("summary"))
    assert "4 rows, 4 columns." in found["Overview"].facts
    assert "day: from 2026-01-01 to 2026-01-04." in found["Overview"].facts
    assert [row[0] for row in found["Figures"].rows] == ["sold", "spent"]
    assert found["What moves together"].rows[0][:2] == ["sold", "spent"]


def test_a_group_has_its_sums():
    breakdown = told(Asked("breakdown", group_by="city"))["By city"]
    assert breakdown.header == ["city", "rows", "sum of sold", "sum of spent"]
    assert breakdown.rows[0] == ["Rome", 2, pytest.approx(7.9), 4]


def test_a_breakdown_without_a_group_counts_what_is_frequent():
    assert told(Asked("breakdown"))["Most frequent: city"].rows == [["Rome", 2], ["Oslo", 2]]


def test_a_trend_is_told_with_how_sure_it_is():
    (first, second) = told(Asked("trend", value_column="sold"))["Trend"].facts
    assert first.startswith("It rises by 1.98 a day: r² 0.99")
    assert second == "From 2026-01-01 to 2026-01-04, 4 points."


def test_a_trend_that_chance_makes_as_well_is_none():
    rows = [{"day": f"2026-01-0{n}", "v": v} for n, v in enumerate((3, 1, 4, 1, 5), 1)]
    assert told(Asked("trend"), rows)["Trend"].facts[0].startswith("No clear trend")


def test_a_trend_without_times_is_refused():
    with pytest.raises(SeriesError, match="column of times"):
        sections([{"v": 1}, {"v": 2}, {"v": 3}], Asked("trend"))


def test_what_stands_in_the_data_cannot_become_markup():
    rows = [{"<script>alert(1)</script>": "a|b\nc", "v": 1}]
    found = sections(rows, Asked("breakdown"))
    page, text = html("<b>&", found), markdown("<b>\n# x", found)
    assert "<script>" not in page
    assert "<title>&lt;b&gt;&amp;</title>" in page
    assert "<script>" not in text
    assert text.startswith("# &lt;b&gt; # x\n")
    assert "| a\\|b c | 1 |" in text
