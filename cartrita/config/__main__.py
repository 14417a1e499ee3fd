"""Writes the generated pages about settings, or checks them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cartrita.config.reference import pages


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages below a folder; with `--check` only tell whether they are current."""
    parser = argparse.ArgumentParser(prog="python -m cartrita.config", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a page differs")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout")
    options = parser.parse_args(arguments)
    stale = [name for name, text in pages().items() if _current(options.root / name) != text]
    for name in stale:
        if options.check:
            sys.stderr.write(f"{name} is not current: run `python -m cartrita.config`.\n")
        else:
            path = options.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[name], encoding="utf-8")
    return 1 if stale and options.check else 0


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
