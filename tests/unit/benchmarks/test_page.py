"""The page of the benchmarks: where its figures come from, and what it does without some."""

import json

import pytest

from benchmarks.page import aims
from benchmarks.page.__main__ import HERE, ROOT, faults, main, page
from benchmarks.page.aims import Aim
from benchmarks.page.figures import NoFigure, NoResult, Results, written
from benchmarks.page.template import filled

RESULTS = Results(
    {
        "http": {
            "cases": {"bare": [{"rps": 200}, {"rps": 100}, {"rps": 300}], "task": [{"rps": 50}]},
            "when": "today",
        },
        "deaths": {"runs": [{"p99": 3.0}, {"p99": None}, {"p99": 5.0}], "lost": 0},
    }
)


def test_a_path_through_rounds_is_their_median():
    assert RESULTS.value("http.cases.bare.rps") == 200
    assert RESULTS.value("http.cases.task.rps") == 50


def test_what_a_round_lacks_does_not_count():
    assert RESULTS.value("deaths.runs.p99") == 4.0


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("most http.cases.bare.rps", 300),
        ("least http.cases.*.rps", 50),
        ("sum http.cases.*.rps", 650),
        ("count http.cases.bare.rps", 3),
        ("http.cases.task.rps / http.cases.bare.rps", 0.25),
        ("1 - deaths.lost * 10", 10),
    ],
)
def test_figures_can_be_chosen_and_joined(expression, value):
    assert RESULTS.value(expression) == value


def test_a_figure_that_is_not_there_is_not_taken_for_a_benchmark_that_did_not_run():
    with pytest.raises(NoResult, match="journal"):
        RESULTS.value("journal.rate")
    with pytest.raises(NoFigure, match=r"deaths\.found") as told:
        RESULTS.value("deaths.found")
    assert not isinstance(told.value, NoResult)


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (1234.5, "0", "1,234"),
        (1.25, "1", "1.2"),
        (0.256, "%", "26 %"),
        (0.0134, "%1", "1.3 %"),
        (8.16, "x", "8.2"),
        (26.4, "x", "26"),
        ("a worker", "text", "a worker"),
    ],
)
def test_figures_are_written_as_the_template_asks(value, style, text):
    assert written(value, style) == text


def test_a_template_gets_its_figures_and_a_row_for_each_entry():
    text = (
        "# Page\n\nAt {{ http.when | text }}: {{ http.cases.task.rps | 0 }} a second.\n\n"
        "| | rate | slow |\n|---|---|---|\n"
        "<!-- each http.cases: | {key} | {{ .rps | 0 }} | {{ .p99 | 0 }} | -->\n"
    )
    assert filled(text, RESULTS) == (
        "# Page\n\nAt today: 50 a second.\n\n"
        "| | rate | slow |\n|---|---|---|\n| bare | 200 | - |\n| task | 50 | - |\n"
    )


def test_without_a_result_its_sections_and_blocks_are_left_out():
    text = (
        "# Page\n\n## Peers\n<!-- needs peers -->\n\nThey do {{ peers.rps | 0 }}.\n\n"
        "## Deaths\n<!-- needs deaths -->\n\n{{ deaths.lost | 0 }} lost.\n\n"
        "<!-- needs http peers -->\nBoth: {{ peers.rps | 0 }}.\n\n"
        "## Others\n\n<!-- needs peers -->\nThey do {{ peers.rps | 0 }}.\n"
    )
    assert filled(text, RESULTS) == "# Page\n\n## Deaths\n\n0 lost.\n"


def test_a_template_that_names_no_figure_is_refused():
    with pytest.raises(NoFigure, match=r"http\.rate"):
        filled("{{ http.rate | 0 }}", RESULTS)


def test_aims_tell_what_was_reached_and_why_not():
    quick = Aim("Rate", "http.cases.task.rps / http.cases.bare.rps", "%", "The path", least=0.6,
                why="It does more.")  # fmt: skip
    safe = Aim("Lost tasks", "deaths.lost", "0", "Deaths", most=0)
    unknown = Aim("Beside others", "peers.rps", "0", "Peers", least=1)
    found = aims.measured([quick, safe, unknown], RESULTS)
    assert aims.table(found).splitlines()[2:] == [
        "| [Rate](#the-path) | ≥ 60 % | 25 % | **not reached** |",
        "| [Lost tasks](#deaths) | ≤ 0 | 0 | reached |",
    ]
    assert aims.shortfalls(found) == "- **Rate** (25 %, aim ≥ 60 %): It does more."
    assert aims.shortfalls(found[1:]) == "Every aim is reached."


def test_every_aim_has_a_bound_and_a_section_of_the_page():
    headings = [
        line for line in (HERE / "template.md").read_text().splitlines() if line[:3] == "## "
    ]
    for aim in aims.read(HERE / "aims.toml"):
        assert (aim.least is None) != (aim.most is None), aim.what
        assert f"## {aim.section}" in headings, aim.what


def test_a_page_that_is_not_current_is_told_apart(tmp_path, capsys):
    saved = tmp_path / "benchmarks/results"
    saved.mkdir(parents=True)
    shown = json.loads((ROOT / "benchmarks/results/memory.json").read_text())
    (saved / "memory.json").write_text(json.dumps(shown))
    text = page(Results.read(saved))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/benchmarks.md").write_text(text)
    assert main(["--check", "--root", str(tmp_path)]) == 0

    (saved / "memory.json").write_text(json.dumps({**shown, "total": 7}))
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert "docs/benchmarks.md is not current" in capsys.readouterr().err


def test_charts_that_are_missing_or_too_many_are_told(tmp_path):
    images = tmp_path / "docs/images/benchmarks"
    images.mkdir(parents=True)
    (images / "old.png").touch()
    text = "![Rates](images/benchmarks/rates.png)"
    (tmp_path / "docs/benchmarks.md").write_text(text)
    assert faults(text, tmp_path) == ["rates.png is not drawn", "old.png stands nowhere"]
