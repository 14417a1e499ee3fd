"""Tests of the single places settings come from."""

import pytest

from cartrita.config.sources import dotenv, from_environment, from_file, from_flags
from cartrita.errors import ConfigurationInvalid


def values(found):
    return {name: item.value for name, item in found.items()}


def environment(tmp_path, **variables):
    return values(from_environment(variables, "environment", tmp_path))


def test_an_unknown_flag_names_the_nearest_setting():
    with pytest.raises(ConfigurationInvalid, match=r"'server\.prt' in a flag.*'server\.port'"):
        from_flags({"server.prt": "1"})


def test_an_unknown_variable_names_the_nearest_one(tmp_path):
    with pytest.raises(ConfigurationInvalid, match="did you mean 'CARTRITA_SERVER__PORT'"):
        environment(tmp_path, CARTRITA_SERVER_PORT="1")


def test_only_secrets_come_from_files(tmp_path):
    with pytest.raises(ConfigurationInvalid, match="CARTRITA_SERVER__PORT_FILE"):
        environment(tmp_path, CARTRITA_SERVER__PORT_FILE="port.txt")


def test_variables_of_others_are_ignored(tmp_path):
    assert environment(tmp_path, UNRELATED="1", cartrita_server__port="1") == {}


def test_what_kubernetes_writes_for_services_is_ignored(tmp_path):
    links = {
        "CARTRITA_SERVICE_HOST": "10.0.0.1",
        "CARTRITA_SERVICE_PORT": "8002",
        "CARTRITA_SERVICE_PORT_HTTP": "8002",
        "CARTRITA_PORT": "tcp://10.0.0.1:8002",
        "CARTRITA_PORT_8002_TCP": "tcp://10.0.0.1:8002",
        "CARTRITA_PORT_8002_TCP_ADDR": "10.0.0.1",
        "CARTRITA_HEAD_SVC_PORT": "tcp://10.0.0.2:6379",
        "CARTRITA_HEAD_SVC_PORT_6379_TCP_PROTO": "tcp",
    }
    assert environment(tmp_path, **links) == {}


def test_a_secret_file_loses_its_last_line_break_only(tmp_path):
    (tmp_path / "pw").write_text(" s3cret \n")
    assert environment(tmp_path, POSTGRES_PASSWORD_FILE="pw") == {"postgres.password": " s3cret "}


def test_our_own_file_variable_wins_over_the_seeds(tmp_path):
    (tmp_path / "ours").write_text("ours")
    found = environment(
        tmp_path,
        CARTRITA_MODELS__OPENAI_API_KEY_FILE="ours",
        OPENAI_API_KEY_FILE="absent",
        OPENAI_API_KEY="alias",
    )
    assert found == {"models.openai_api_key": "ours"}


def test_the_first_of_two_aliases_wins(tmp_path):
    found = environment(tmp_path, HF_TOKEN="second", HUGGINGFACE_API_KEY="first")
    assert found == {"models.huggingface_api_key": "first"}


def test_our_own_name_wins_over_one_that_ray_reads_too(tmp_path):
    rays = {"RAY_USE_TLS": "1", "RAY_TLS_CA_CERT": "/ray/ca", "RAY_TLS_SERVER_KEY": "/ray/key"}
    found = environment(tmp_path, **rays, CARTRITA_CHANNEL__CA="/ours/ca")
    assert found == {
        "channel.tcp": "1",
        "channel.ca": "/ours/ca",
        "channel.key": "/ray/key",
    }


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * ((1 << 20) + 1)])
def test_a_secret_file_that_cannot_be_used_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "pw").write_bytes(content)
    with pytest.raises(ConfigurationInvalid, match=r"environment OPENAI_API_KEY_FILE.*pw"):
        environment(tmp_path, OPENAI_API_KEY_FILE="pw")


def test_a_dotenv_file_is_not_expanded(tmp_path):
    (tmp_path / ".env").write_text("A='x $HOME ${HOME}'\nexport B=2\nC\n# D=4\n")
    assert dotenv(tmp_path / ".env") == {"A": "x $HOME ${HOME}", "B": "2", "C": ""}


def test_a_missing_dotenv_file_is_an_empty_one(tmp_path):
    assert dotenv(tmp_path / ".env") == {}


def test_a_settings_file_keeps_its_types(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('instance = "x"\n[server]\nport = 1\ncors_origins = ["https://a"]\n')
    assert values(from_file(path)) == {
        "instance": "x",
        "server.port": 1,
        "server.cors_origins": ["https://a"],
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("port = 1", "Unknown setting 'port'"),
        ("[server]\nprt = 1", "did you mean 'server.port'"),
        ("server = 1", "Unknown setting 'server'"),
        ("[sever]\nport = 1", "Unknown setting 'sever'"),
        ("[server", "is not TOML"),
    ],
)
def test_a_settings_file_with_an_error_says_which(tmp_path, text, complaint):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationInvalid, match=complaint):
        from_file(path)
