"""What the tests of the command line share."""

import json
from fcntl import LOCK_EX, flock

import pytest
from typer.testing import CliRunner

from cartrita.cli import app
from cartrita.cli.connection import find
from cartrita.cli.options import Options
from cartrita.config.names import every_setting
from cartrita.instance import InstanceState, paths_of, write_state
from tests.support.api_server import ADMIN, api_and_inside


@pytest.fixture(scope="package")
def served():
    with api_and_inside() as opened:
        yield opened


@pytest.fixture
def api(served):
    return served[0]


@pytest.fixture
def inside(served):
    """Give what stands behind the API."""
    return served[1]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Give an empty home, and an environment in which nothing else is set."""
    folder = tmp_path / "home"
    monkeypatch.chdir(tmp_path)
    for setting in every_setting().values():
        for name in (setting.variable, *setting.file_variables, *setting.aliases):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CARTRITA_TOKEN", raising=False)
    monkeypatch.delenv("CARTRITA_CONFIG", raising=False)
    monkeypatch.setenv("CARTRITA_HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "80")
    return folder


@pytest.fixture
def cartrita(home):
    """Run the command line in this process."""

    def run(*arguments, typed=None):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=typed)

    return run


@pytest.fixture
def admin(home):
    """Let commands sign in as the administrator."""
    home.mkdir()
    email, password = ADMIN
    (home / "admin.json").write_text(json.dumps({"email": email, "password": password}))


@pytest.fixture
def here(cartrita, admin, api):
    """Run the command line, signed in, against the server of the tests."""

    def run(*arguments, **options):
        return cartrita("--url", api, *arguments, **options)

    return run


@pytest.fixture
def running(home):
    """Pretend to be the owner of an instance that says where it is."""
    home.mkdir(exist_ok=True)
    with (home / "owner.lock").open("a") as lock:
        flock(lock, LOCK_EX)

        def say(url):
            state = InstanceState(1, "3.0.0", 0.0, {"api": url}, ready=True)
            write_state(paths_of(find(Options()).settings), state)

        yield say
