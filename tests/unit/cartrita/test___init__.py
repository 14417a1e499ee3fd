"""Tests of what `import cartrita` costs and gives."""

import subprocess
import sys

import pytest

import cartrita


def loaded_by(statement):
    program = f"{statement}\nimport sys; print(' '.join(sys.modules))"
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"ray", "torch", "openai", "langchain_core", "httpx", "pydantic", "asyncpg", "redis"}
    assert loaded_by("import cartrita") & heavy == set()


def test_the_client_is_there_when_it_is_asked_for():
    modules = loaded_by("from cartrita import AsyncClient, Client")
    assert "cartrita.client.blocking" in modules
    assert not modules & {"ray", "actors", "serve_apps"}


def test_other_names_are_not_invented():
    with pytest.raises(AttributeError, match="Server"):
        _ = cartrita.Server


def test_the_client_is_listed():
    assert {"AsyncClient", "Client", "__version__"} <= set(dir(cartrita))
