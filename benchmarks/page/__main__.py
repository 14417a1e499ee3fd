"""Writes `docs/benchmarks.md` and its charts; `python -m benchmarks.page --check` checks the page.

The check compares the text, and the names of the charts: how a chart is drawn depends on the
version of what draws it.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.page import aims
from benchmarks.page.figures import NoFigure, Results
from benchmarks.page.template import filled

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = Path("docs/benchmarks.md")
CHART = re.compile(r"\(images/benchmarks/([\w-]+)\.png\)")


def page(results: Results) -> str:
    """Return the page as the results are now."""
    found = aims.measured(aims.read(HERE / "aims.toml"), results)
    tables = {
        "aims": aims.table(found),
        "shortfalls": aims.shortfalls(found),
        "reached": f"{sum(aim.reached(value) for aim, value in found)} of {len(found)}",
    }
    return filled((HERE / "template.md").read_text(), results, tables)


def faults(text: str, root: Path) -> list[str]:
    """Return what of the page in a checkout is not current."""
    path = root / PAGE
    wrong = [] if path.exists() and path.read_text() == text else [f"{PAGE} is not current"]
    images = path.parent / "images/benchmarks"
    named, drawn = set(CHART.findall(text)), {file.stem for file in images.glob("*.png")}
    wrong += [f"{name}.png is not drawn" for name in sorted(named - drawn)]
    return wrong + [f"{name}.png stands nowhere" for name in sorted(drawn - named)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and its charts, or check them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 where they differ")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout")
    options = parser.parse_args(arguments)
    results = Results.read(options.root / "benchmarks/results")
    try:
        text = page(results)
    except NoFigure as error:
        sys.stderr.write(f"The page names a figure that is not there: {error}.\n")
        return 1
    if options.check:
        wrong = faults(text, options.root)
        if wrong:
            sys.stderr.write(f"{'; '.join(wrong)}: run `python -m benchmarks.page`.\n")
        return bool(wrong)
    from benchmarks.page.drawings import draw  # noqa: PLC0415 - the check needs no matplotlib

    (options.root / PAGE).write_text(text)
    draw(CHART.findall(text), results, options.root / PAGE.parent / "images/benchmarks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
