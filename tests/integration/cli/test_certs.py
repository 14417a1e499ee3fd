"""Tests of `cartrita certs`, from the command to a channel that uses what it made."""

import asyncio
import json
import socket
from pathlib import Path

import pytest
from ray._common.tls_utils import load_certs_from_env

from cartrita.channel.address import Address
from cartrita.channel.client import connect
from cartrita.channel.tls import Credentials, client_context, server_context
from cartrita.config.load import load_settings
from tests.support.channels import TOKEN, Answers, serving

RAY = ("RAY_USE_TLS", "RAY_TLS_CA_CERT", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY")
PAGE = Path(__file__).parents[3] / "docs/operations/certificates.md"


@pytest.fixture
def made(cartrita, tmp_path):
    """Run the command, and return what it says about nodes by the name of their folder."""

    def run(*arguments):
        done = cartrita("certs", "--out", tmp_path / "tls", "--json", *arguments)
        assert done.exit_code == 0, done.stderr
        return {Path(node["folder"]).name: node for node in json.loads(done.stdout)["nodes"]}

    return run


def loaded(node, wanted):
    """Return the credentials that settings name which were pasted into a `.env` file."""
    pasted = {k: v for k, v in node["settings"].items() if k.startswith(wanted)}
    channel = load_settings({}, {"HOME": "/nowhere", **pasted}, Path("/")).channel
    assert channel.tcp
    return Credentials(channel.ca, channel.cert, channel.key)


async def talk(server, client):
    local = Address(host="127.0.0.1", port=0)
    async with serving(Answers(), local, tls=server_context(server)) as (_, address):
        channel = await connect(address, token=TOKEN, peer="me", tls=client_context(client))
        answer = await channel.request("echo", "hello", 5)
        channel.close()
    return answer


@pytest.mark.parametrize("wanted", ["CARTRITA_", "RAY_"])
def test_what_it_prints_makes_two_nodes_talk(made, wanted):
    nodes = made("--node", "head,10.0.0.1", "--node", "10.0.0.2")
    assert nodes.keys() == {"head", "10.0.0.2"}
    ends = [loaded(node, wanted) for node in nodes.values()]
    assert asyncio.run(talk(*ends)) == "hello"


def test_it_prints_the_lines_of_an_environment(cartrita, tmp_path):
    done = cartrita("certs", "--out", tmp_path / "tls", "--node", "head")
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    names = [line.partition("=")[0] for line in lines]
    assert tuple(names[4:]) == RAY
    assert "CARTRITA_CHANNEL__TCP=true" in lines
    assert f"CARTRITA_CHANNEL__KEY={tmp_path}/tls/head/key.pem" in lines


def test_ray_reads_the_variables_that_are_meant_for_it(made, monkeypatch):
    (node,) = made("--node", "head").values()
    for name in RAY:
        monkeypatch.setenv(name, node["settings"][name])
    chain, key, ca = load_certs_from_env()
    folder = Path(node["folder"])
    assert chain == (folder / "cert.pem").read_bytes()
    assert key == (folder / "key.pem").read_bytes()
    assert ca == (folder / "ca.pem").read_bytes()


def test_the_manual_shows_what_is_printed(made):
    (node,) = made("--node", "10.0.0.2").values()
    there = {k: v.replace(node["folder"], "/etc/cartrita/tls") for k, v in node["settings"].items()}
    assert "\n".join(f"{name}={value}" for name, value in there.items()) in PAGE.read_text()


def test_without_a_name_it_is_this_machine(made):
    (node,) = made().values()
    assert socket.gethostname() in node["names"]
    assert {"localhost", "127.0.0.1", "::1"} <= set(node["names"])


def test_a_second_run_spoils_nothing(made, cartrita, tmp_path):
    made("--node", "head")
    before = {path: path.read_bytes() for path in (tmp_path / "tls").rglob("*.pem")}
    done = cartrita("certs", "--out", tmp_path / "tls", "--node", "other")
    assert done.exit_code == 2
    assert "--renew" in done.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "tls").rglob("*.pem")} == before


def test_renewing_gives_every_node_a_new_certificate_that_the_old_ones_accept(made, tmp_path):
    old = made("--node", "head,10.0.0.1", "--node", "other")
    kept = tmp_path / "kept"
    (tmp_path / "tls/other").rename(kept)
    renewed = made("--renew", "--days", "30")
    assert renewed["head"]["names"] == old["head"]["names"]
    assert renewed["head"]["expires"] < old["head"]["expires"]
    other = Credentials(kept / "ca.pem", kept / "cert.pem", kept / "key.pem")
    assert asyncio.run(talk(loaded(renewed["head"], "CARTRITA_"), other)) == "hello"


def test_renewing_with_a_name_adds_a_node(made, tmp_path):
    made("--node", "head")
    assert made("--renew", "--node", "late").keys() == {"late"}
    assert (tmp_path / "tls/head/cert.pem").is_file()


def test_there_is_nothing_to_renew_in_an_empty_folder(cartrita, tmp_path):
    done = cartrita("certs", "--out", tmp_path, "--renew")
    assert done.exit_code == 2
    assert "ca.pem" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--node", "a b"),
        ("--node", ","),
        ("--node", "a", "--node", "a,b"),
        ("--days", "0"),
        ("--days", "99999"),
    ],
)
def test_a_mistake_is_found_before_anything_is_made(cartrita, tmp_path, arguments):
    done = cartrita("certs", "--out", tmp_path / "tls", *arguments)
    assert done.exit_code == 2
    assert not (tmp_path / "tls").exists()


def test_a_folder_that_cannot_be_made_is_one_line(cartrita, tmp_path):
    (tmp_path / "file").write_text("")
    done = cartrita("certs", "--out", tmp_path / "file" / "tls")
    assert done.exit_code == 2
    assert done.stderr.startswith("cartrita: Cannot write")
    assert done.stderr.count("\n") == 1
