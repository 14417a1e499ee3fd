"""The cluster files against Ray's own rules and our own names; starts no Ray."""

import inspect
import re
import shlex
import subprocess
import warnings
from importlib import import_module
from pathlib import Path

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from cartrita.config.names import META, every_setting
from cartrita.config.sources import from_flags

with warnings.catch_warnings():  # Serve's own models use names that pydantic will drop
    warnings.simplefilter("ignore", DeprecationWarning)
    from ray.serve.schema import ServeDeploySchema

ROOT = Path(__file__).parents[2]
AWS = ROOT / "ray_cluster.yaml"
ON_PREMISES = ROOT / "cluster/launcher/on_premises.yaml"
SERVE = ROOT / "cluster/serve.yaml"
LAUNCHERS = pytest.mark.parametrize("path", [AWS, ON_PREMISES], ids=lambda path: path.stem)

# Where Ray reads its environment; some of it in C++.
RAY_SOURCES = ("_common/usage/*.py", "serve/_private/*.py", "_raylet.so")


def launcher(path):
    """Return a launcher's file, checked as `ray up` checks it."""
    prepared = prepare_config(yaml.safe_load(path.read_text()))
    validate_config(prepared)  # knows what is required only once the defaults are in
    return prepared


def environment_of(path, home):
    """Do in a shell what a node does to its environment, and return what that adds."""
    home.mkdir(exist_ok=True)
    (home / "cartrita").mkdir(exist_ok=True)
    (command,) = [c for c in launcher(path)["setup_commands"] if "printf" in c]
    script = f"{command}; . ~/cartrita/environment; env -0"
    clean = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-c", script], env=clean, check=True, capture_output=True, text=True, timeout=10
    )
    found = dict(pair.split("=", 1) for pair in done.stdout.rstrip("\0").split("\0"))
    return {name: value for name, value in found.items() if name.startswith(("RAY_", "CARTRITA_"))}


@LAUNCHERS
def test_the_launcher_accepts_the_file(path):
    assert launcher(path)["cluster_name"] == "cartrita"


def test_the_launcher_would_refuse_an_unknown_key(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(AWS.read_text() + "\nmax_wrokers: 3\n")
    with pytest.raises(Exception, match="max_wrokers"):
        launcher(wrong)


def test_the_cloud_cluster_rests_with_its_head_alone():
    config = launcher(AWS)
    kinds = config["available_node_types"]
    assert config["provider"]["type"] == "aws"
    assert config["head_node_type"] == "head"
    assert {name: (kind["min_workers"], kind["max_workers"]) for name, kind in kinds.items()} == {
        "head": (0, 0),
        "light": (0, 8),
        "heavy": (0, 2),
    }
    assert config["max_workers"] == 8 + 2


def test_the_own_machines_rest_until_they_are_needed():
    config = launcher(ON_PREMISES)
    (kind,) = config["available_node_types"].values()
    assert (kind["min_workers"], kind["max_workers"]) == (0, len(config["provider"]["worker_ips"]))


@LAUNCHERS
def test_every_variable_of_the_nodes_is_one_that_somebody_reads(path, tmp_path):
    names = environment_of(path, tmp_path)
    ours = {setting.variable for setting in every_setting().values()} | set(META)
    package = Path(ray.__file__).parent
    sources = [file.read_bytes() for place in RAY_SOURCES for file in package.glob(place)]
    for name in names:
        known = name in ours or any(name.encode() in source for source in sources)
        assert known, f"nobody reads {name}"


@LAUNCHERS
def test_the_nodes_agree_on_a_token_and_on_the_lifetime(path, tmp_path):
    assert environment_of(path, tmp_path) == {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": f"{tmp_path}/cartrita/secrets/ray-token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "CARTRITA_LIFETIME": "attached",
        "CARTRITA_CONFIG": f"{tmp_path}/cartrita/secrets/config.toml",
    }


@LAUNCHERS
def test_ray_starts_only_with_that_environment(path):
    config = launcher(path)
    commands = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    assert all(command.startswith(". ~/cartrita/environment && ") for command in commands)
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][-1]


@LAUNCHERS
def test_what_the_nodes_install_is_brought_to_them(path):
    config = launcher(path)
    mounts = config["file_mounts"]
    used = re.findall(r"~/cartrita/[\w./*-]+", " ".join(config["setup_commands"]))
    brought = [p for p in used if not p.startswith(("~/cartrita/venv", "~/cartrita/environment"))]
    assert brought
    for place in brought:
        mount = "/".join(place.split("/")[:3])
        local = ROOT / mounts[mount] / place.removeprefix(mount).lstrip("/")
        # The wheel and the secrets are made before the launch; the rest is in the checkout.
        assert mount in ("~/cartrita/dist", "~/cartrita/secrets") or local.exists(), place


@LAUNCHERS
def test_every_command_is_one_a_shell_can_read(path):
    config = launcher(path)
    for name in config:
        for command in config[name] if name.endswith("_commands") else ():
            assert shlex.split(command)
            subprocess.run(["bash", "-n", "-c", command], check=True, timeout=10)


@LAUNCHERS
def test_a_placeholder_says_that_it_is_one(path):
    lines = path.read_text().splitlines()
    placeholders = [line for line in lines if re.search(r"ami-0{17}|192\.0\.2\.", line)]
    assert placeholders
    assert all("# FILL IN" in line for line in placeholders)


def test_serve_accepts_the_application():
    config = ServeDeploySchema.model_validate(yaml.safe_load(SERVE.read_text()))
    (application,) = config.applications
    assert (application.name, application.route_prefix) == ("cartrita", "/")
    assert config.http_options.host == "127.0.0.1"


def test_serve_finds_the_builder_and_its_name():
    (application,) = yaml.safe_load(SERVE.read_text())["applications"]
    module, _, name = application["import_path"].partition(":")
    program = import_module(module)
    assert len(inspect.signature(getattr(program, name)).parameters) == 1
    assert application["name"] == program.APPLICATION


def test_the_arguments_it_suggests_are_settings():
    text = SERVE.read_text()
    suggested = dict(re.findall(r'^ +# +([\w.]+): "(.*)"$', text, re.MULTILINE))
    assert suggested
    assert from_flags(suggested).keys() == suggested.keys()


def test_the_settings_it_asks_for_are_settings():
    text = AWS.read_text() + ON_PREMISES.read_text() + SERVE.read_text()
    ours = {setting.variable for setting in every_setting().values()} | set(META)
    assert set(re.findall(r"CARTRITA_[A-Z_]+", text)) <= ours
