"""Tests of `cartrita version`."""

import json
import platform

from cartrita import __version__


def test_it_names_what_runs(cartrita):
    done = cartrita("version", "--json")
    facts = json.loads(done.stdout)
    assert (facts["cartrita"], facts["python"]) == (__version__, platform.python_version())
    assert __version__ in cartrita("version").stdout
