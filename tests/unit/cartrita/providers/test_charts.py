"""Tests of cartrita/providers/charts.py."""

import struct
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from cartrita.errors import MissingExtra
from cartrita.providers.charts import Matplotlib
from cartrita.providers.ports_charts import Chart, Line

DAYS = [1767225600.0 + 86_400 * day for day in range(4)]
SALES = Line("sales", [1.0, None, 3.0, 2.0])


@pytest.fixture(scope="module")
def draughtsman():
    return Matplotlib()


def texts(svg):
    return [node.text for node in ET.fromstring(svg).iter() if node.tag.endswith("}text")]


@pytest.mark.parametrize("kind", ["line", "area", "bar", "scatter", "histogram", "box"])
def test_every_kind_is_drawn_as_both_formats(draughtsman, kind):
    chart = Chart(kind, DAYS, [SALES, Line("costs", [2.0, 2.0, 1.0, 2.0])], times=True, title="A")
    svg = draughtsman.draw(chart, "svg")
    assert svg.notes == ()
    assert "A" in texts(svg.data)
    png = draughtsman.draw(chart, "png").data
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (960, 540)


def test_a_pie_names_its_slices(draughtsman):
    chart = Chart("pie", ["Rome", "Oslo"], [Line("sales", [1.0, 3.0])])
    assert {"Rome", "Oslo", "75.0%"} <= set(texts(draughtsman.draw(chart, "svg").data))


def test_the_same_chart_is_the_same_bytes(draughtsman):
    chart = Chart("line", [1.0, 2.0], [Line("a", [1.0, 2.0])])
    assert draughtsman.draw(chart, "svg") == draughtsman.draw(chart, "svg")


@pytest.mark.parametrize("kind", ["histogram", "line", "bar", "box"])
def test_one_value_far_off_costs_no_more_than_others(draughtsman, kind):
    values = [*(number / 500 for number in range(400)), 1e15]
    chart = Chart(kind, list(range(401)), [Line("a", values)])
    assert len(draughtsman.draw(chart, "svg").data) < 400_000


def test_texts_of_strangers_are_neither_markup_nor_formulas(draughtsman):
    title = "<script>$\\frac{1}{0}$ & $x</script>"
    svg = draughtsman.draw(Chart("line", ["a"], [Line(title, [1.0])], title=title), "svg")
    assert b"<script" not in svg.data
    assert title in texts(svg.data)


def test_letters_that_the_font_does_not_have_are_told(draughtsman):
    png = draughtsman.draw(Chart("line", ["a"], [SALES_ONE], title="日本"), "png")
    assert any("Glyph" in note for note in png.notes)


SALES_ONE = Line("sales", [1.0])


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"cartrita\[charts\]"):
        Matplotlib().draw(Chart("line", ["a"], [SALES_ONE]), "png")


def test_importing_all_this_draws_in_no_library():
    program = (
        "import sys, actors.agents.charts, cartrita.providers.charts\n"
        "cartrita.providers.charts.Matplotlib()\n"
        "sys.exit('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 0
