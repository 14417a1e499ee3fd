"""The peers' own virtual environments, so that Cartrita's stays as it is.

One for each library, as they do not agree on versions of what they share.
"""

import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness import HERE

FOLDER = HERE.parent / ".venv-peers"
APPS = Path(__file__).with_name("apps")
REQUIREMENTS = Path(__file__).with_name("requirements")


def prepared(library: str) -> Path:
    """Return the `bin` of its environment, which is made when it is not there or is another."""
    folder, wanted = FOLDER / library, _requirements(library).read_text()
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {library} into {FOLDER.name}", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run(
            [folder / "bin/python", *install, "-r", _requirements(library)],
            check=True,
            timeout=900,
        )
        stamp.write_text(wanted)
    return folder / "bin"


def pinned(library: str, *names: str) -> dict[str, str]:
    """Return the versions of some packages in a library's environment."""
    lines = (line.partition("==") for line in _requirements(library).read_text().splitlines())
    versions = {name: told for name, equal, told in lines if equal}
    return {name: versions[name] for name in names}


def ours(*names: str) -> dict[str, str]:
    """Return the versions of some packages in Cartrita's own environment."""
    return {name: version(name) for name in names}


def _requirements(library: str) -> Path:
    return REQUIREMENTS / f"{library}.txt"
