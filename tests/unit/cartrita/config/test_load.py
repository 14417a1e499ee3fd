"""Tests of which value wins, and what the loser hears."""

import pickle
import string
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartrita.config.load import child_environment, explain, given_token, load_settings
from cartrita.config.settings import Settings
from cartrita.errors import ConfigurationInvalid

CANARY = "canary-secret-value"


def read(environ, cwd, flags=None):
    """Load settings as if nobody had a settings file at home."""
    return load_settings(flags, {"HOME": str(cwd), **environ}, cwd)


@pytest.fixture
def places(tmp_path):
    """Every place that can name the Postgres password, weakest last."""
    home, cwd = tmp_path / "home", tmp_path / "cwd"
    home.mkdir()
    cwd.mkdir()
    (home / "config.toml").write_text('[postgres]\npassword = "file"\n')
    (cwd / ".env").write_text(
        "CARTRITA_POSTGRES__PASSWORD=dotenv\nPOSTGRES_PASSWORD=dotenv-alias\n"
    )
    (cwd / "secret").write_text("secret-file\n")
    environ = {
        "HOME": str(tmp_path),
        "CARTRITA_HOME": str(home),
        "CARTRITA_POSTGRES__PASSWORD": "environment",
        "CARTRITA_POSTGRES__PASSWORD_FILE": "secret",
        "POSTGRES_PASSWORD": "alias",
    }
    return {"postgres.password": "flag"}, environ, cwd


def password(places):
    return load_settings(*places).postgres.password.get_secret_value()


def origin(places, name="postgres.password"):
    return next(row.origin for row in explain(*places) if row.name == name)


def test_places_win_in_the_documented_order(places):
    flags, environ, cwd = places
    assert (password(places), origin(places)) == ("flag", "flag postgres.password")
    flags.clear()
    assert password(places) == "environment"
    assert origin(places) == "environment CARTRITA_POSTGRES__PASSWORD"
    del environ["CARTRITA_POSTGRES__PASSWORD"]
    assert password(places) == "secret-file"
    assert origin(places) == "secret (environment CARTRITA_POSTGRES__PASSWORD_FILE)"
    del environ["CARTRITA_POSTGRES__PASSWORD_FILE"]
    assert (password(places), origin(places)) == ("alias", "environment POSTGRES_PASSWORD")
    del environ["POSTGRES_PASSWORD"]
    assert (password(places), origin(places)) == ("dotenv", ".env CARTRITA_POSTGRES__PASSWORD")
    (cwd / ".env").write_text("POSTGRES_PASSWORD=dotenv-alias\n")
    assert (password(places), origin(places)) == ("dotenv-alias", ".env POSTGRES_PASSWORD")
    (cwd / ".env").unlink()
    path = Path(environ["CARTRITA_HOME"]) / "config.toml"
    assert (password(places), origin(places)) == ("file", str(path))
    path.unlink()
    assert load_settings(*places).postgres.password is None
    assert origin(places) == "default"


def test_an_empty_variable_does_not_hide_a_weaker_place(places):
    flags, environ, _ = places
    flags["postgres.password"] = ""
    environ["CARTRITA_POSTGRES__PASSWORD"] = ""
    assert password(places) == "secret-file"


def test_the_settings_file_may_lie_elsewhere(tmp_path):
    (tmp_path / "else.toml").write_text("[server]\nport = 4000\n")
    environ = {"HOME": str(tmp_path), "CARTRITA_CONFIG": "else.toml"}
    assert read(environ, tmp_path).server.port == 4000


def test_a_settings_file_that_was_named_must_exist(tmp_path):
    environ = {"HOME": str(tmp_path), "CARTRITA_CONFIG": "absent.toml"}
    with pytest.raises(ConfigurationInvalid, match=r"absent\.toml"):
        read(environ, tmp_path)


def test_the_home_in_a_flag_leads_to_the_settings_file(tmp_path):
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "config.toml").write_text('instance = "found"\n')
    loaded = load_settings({"home": "h"}, {"HOME": "/nowhere"}, tmp_path)
    assert loaded.instance == "found"
    assert loaded.home == tmp_path / "h"


def test_the_tilde_is_the_home_of_the_given_environment(tmp_path):
    assert read({"HOME": "/h"}, tmp_path).home == Path("/h/.cartrita")


def test_a_bad_value_names_setting_origin_and_what_is_accepted(tmp_path):
    with pytest.raises(ConfigurationInvalid) as caught:
        read({"MCP_PORT": "99999", "CARTRITA_RAY__NUM_CPUS": "x"}, tmp_path)
    assert "'server.port' (environment MCP_PORT) is '99999'" in caught.value.message
    assert "a whole number from 1 to 65535" in caught.value.message
    assert {field.field for field in caught.value.fields} == {"server.port", "ray.num_cpus"}


def test_what_is_wrong_between_two_settings_names_both_places(tmp_path):
    with pytest.raises(ConfigurationInvalid, match=r"'server' \(environment MCP_PORT, flag"):
        read({"MCP_PORT": "1"}, tmp_path, {"server.v2_port": "1"})


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABASE_URL": f"mysql://{CANARY}"},
        {"JWT_SECRET": CANARY, "CARTRITA_AUTH__ACCEPT_V2_TOKENS": "true"},
    ],
)
def test_a_secret_is_never_echoed(tmp_path, environ):
    with pytest.raises(ConfigurationInvalid) as caught:
        read(environ, tmp_path)
    error = caught.value
    assert CANARY not in "".join(traceback.format_exception(error))
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_secret_of_the_wrong_type_is_never_echoed(tmp_path):
    (tmp_path / "c.toml").write_text(f'[admin]\npassword = ["{CANARY}"]\n')
    with pytest.raises(ConfigurationInvalid, match=r"'admin\.password'") as caught:
        read({"CARTRITA_CONFIG": "c.toml"}, tmp_path)
    assert CANARY not in caught.value.message


def test_a_value_no_environment_can_carry_is_refused(tmp_path):
    (tmp_path / "c.toml").write_text('[admin]\npassword = "a\\u0000b"\n')
    with pytest.raises(ConfigurationInvalid, match="NUL"):
        read({"CARTRITA_CONFIG": "c.toml"}, tmp_path)


def test_explaining_masks_secrets(tmp_path):
    environ = {"HOME": str(tmp_path), "OPENAI_API_KEY": CANARY}
    rows = explain(environ=environ, cwd=tmp_path)
    assert next(row.value for row in rows if row.name == "models.openai_api_key") == "********"
    assert next(row.value for row in rows if row.name == "models.tavily_api_key") == ""
    assert CANARY not in repr(rows)


def test_a_child_loads_equal_settings_whatever_lies_around_it(tmp_path, places):
    parent = load_settings(*places).at("10.0.0.1:6379", "postgresql://a:b@/c", "redis://x")
    (tmp_path / ".env").write_text("OPENAI_API_KEY=not-the-parents\nMCP_PORT=1\n")
    environ = child_environment(parent, {"RAY_TMPDIR": "/run/x"}, environ={"PATH": "/bin"})
    assert load_settings(environ=environ, cwd=tmp_path) == parent
    assert (environ["PATH"], environ["RAY_TMPDIR"]) == ("/bin", "/run/x")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
HOST = st.text(string.ascii_letters + string.digits + ".-", min_size=1, max_size=20)
TREES = st.fixed_dictionaries(
    {},
    optional={
        "home": TEXT,
        "server": st.fixed_dictionaries(
            {"cors_origins": st.lists(HOST, max_size=3), "docs": st.booleans()},
            optional={"request_timeout_s": st.floats(0.001, 3600)},
        ),
        "postgres": st.fixed_dictionaries({}, optional={"password": TEXT, "user": TEXT}),
        "ray": st.fixed_dictionaries({}, optional={"num_cpus": st.integers(1, 4096)}),
        "models": st.fixed_dictionaries({}, optional={"embedding_path": TEXT, "chat_model": TEXT}),
    },
)


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_any_settings_survive_the_way_to_a_child(tree):
    parent = Settings.model_validate(tree)
    environ = child_environment(parent, environ={"HOME": "/elsewhere"})
    assert load_settings(environ=environ, cwd=Path("/")) == parent
    assert pickle.loads(pickle.dumps(parent)) == parent


def test_a_child_inherits_what_it_needs_and_no_more(tmp_path):
    environ = child_environment(
        read({}, tmp_path),
        environ={
            "SSL_CERT_FILE": "/ca",
            "https_proxy": "http://p",
            "LC_ALL": "C",
            "RAY_ADDRESS": "ray://somebody-elses",
            "AWS_SECRET_ACCESS_KEY": CANARY,
            "OPENAI_API_KEY": "an alias, not in effect here",
        },
    )
    assert {"SSL_CERT_FILE", "https_proxy", "LC_ALL"} <= environ.keys()
    assert not {"RAY_ADDRESS", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY"} & environ.keys()


def test_one_set_of_certificates_serves_the_channels_and_ray_in_every_child(tmp_path):
    rays = {
        "RAY_USE_TLS": "1",
        "RAY_TLS_CA_CERT": "/tls/ca.pem",
        "RAY_TLS_SERVER_CERT": "/tls/cert.pem",
        "RAY_TLS_SERVER_KEY": "/tls/key.pem",
    }
    parent = read(rays, tmp_path)
    assert (parent.channel.tcp, parent.channel.key) == (True, Path("/tls/key.pem"))
    environ = child_environment(parent, environ=rays)
    assert rays.items() <= environ.items()
    assert load_settings(environ=environ, cwd=tmp_path) == parent


def test_tcp_without_certificates_says_where_they_come_from(tmp_path):
    with pytest.raises(ConfigurationInvalid) as caught:
        read({"RAY_USE_TLS": "true", "RAY_TLS_CA_CERT": "/tls/ca.pem"}, tmp_path)
    told = caught.value.message
    assert "environment RAY_USE_TLS" in told
    assert "needs channel.cert, channel.key, which `cartrita certs` makes" in told
    assert "channel.plain_tcp" in told


def test_the_process_environment_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CARTRITA_SERVER__PORT", "4321")
    monkeypatch.chdir(tmp_path)
    assert load_settings().server.port == 4321
    assert child_environment(load_settings())["CARTRITA_SERVER__PORT"] == "4321"


def test_importing_the_package_loads_no_model():
    code = "import sys, cartrita.config; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_the_token_at_the_terminal_comes_from_the_environment_or_dotenv(tmp_path):
    assert given_token({}, tmp_path) is None
    (tmp_path / ".env").write_text("CARTRITA_TOKEN=from-dotenv\n")
    assert given_token({"CARTRITA_TOKEN": ""}, tmp_path) == "from-dotenv"
    assert given_token({"CARTRITA_TOKEN": "from-environment"}, tmp_path) == "from-environment"


def test_the_token_at_the_terminal_is_no_setting_and_no_child_sees_it(tmp_path):
    environ = {"HOME": str(tmp_path), "CARTRITA_TOKEN": CANARY}
    settings = load_settings({}, environ, tmp_path)
    assert CANARY not in str(child_environment(settings, environ=environ))
