"""Tests of what a machine needs."""

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from cartrita.cli import checks
from cartrita.cli.checks import MB, Finding
from cartrita.config.settings import Settings
from cartrita.errors import MissingExtra
from cartrita.storage.embedded import namespace


def test_an_old_python_fails():
    assert checks.python((3, 10, 4)).state == "fail"
    assert checks.python((3, 11, 0)).state == "ok"


def test_our_packages_come_from_one_place():
    found = checks.origins(("cartrita", "actors", "serve_apps"))
    assert (found.state, found.detail) == ("ok", str(Path(checks.__file__).parents[2]))


def test_packages_of_two_installations_fail():
    assert checks.origins(("cartrita", "pytest")).state == "fail"


def test_a_package_that_is_missing_is_named():
    found = checks.packages(("ray", "no_such_package"))
    assert (found.state, found.detail) == ("fail", "no no_such_package")
    assert checks.origins(("cartrita", "no_such_package")).state == "fail"


def test_the_embedding_model_is_found_or_asked_for(tmp_path, monkeypatch):
    assert checks.model(tmp_path).state == "ok"
    assert checks.model(tmp_path / "none").state == "fail"
    monkeypatch.setattr(checks, "MODEL", "no_such_package")
    assert checks.model(None).state == "warn"


def missing():
    raise MissingExtra("It is not here.")


def test_a_program_that_is_missing_is_as_bad_as_the_caller_says():
    here = f"{__name__}:missing"
    assert checks.program("x", here, "warn") == Finding("x", "warn", "missing", "It is not here.")
    assert checks.program("x", "no_such_package:find", "fail").state == "fail"
    assert checks.program("HAProxy", "cartrita.edge:haproxy", "warn").state == "ok"


def test_a_port_is_free_taken_or_our_own():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        taken = checks.port(number, "CARTRITA_SERVER__PORT", runs=False)
        assert taken.state == "fail"
        assert "CARTRITA_SERVER__PORT" in taken.remedy
        assert checks.port(number, "CARTRITA_SERVER__PORT", runs=True).state == "ok"
    assert checks.port(number, "CARTRITA_SERVER__PORT", runs=False).state == "ok"


def test_ports_of_outside_servers_are_none_of_ours():
    outside = Settings.model_validate({"postgres": {"host": "db"}, "redis": {"host": "db"}})
    assert not {"CARTRITA_POSTGRES__PORT", "CARTRITA_REDIS__PORT"} & set(checks.ports(outside))
    assert "CARTRITA_POSTGRES__PORT" in checks.ports(Settings())


def test_root_needs_user_namespaces(monkeypatch, tmp_path):
    monkeypatch.setattr(namespace, "needed", lambda: False)
    assert checks.root().detail == "not root"
    monkeypatch.setattr(namespace, "needed", lambda: True)
    refusing = tmp_path / "refusing.py"
    refusing.write_text("import sys; sys.exit('no namespaces here')")
    monkeypatch.setattr(namespace, "__file__", str(refusing))
    found = checks.root()
    assert (found.state, found.detail) == ("fail", "no namespaces here")


def test_a_home_that_can_be_made_is_fine_and_is_not_made(tmp_path):
    folder = tmp_path / "a" / "b"
    assert checks.home(folder).state == "ok"
    assert not folder.exists()


def test_a_home_below_a_file_fails(tmp_path):
    (tmp_path / "file").touch()
    assert checks.home(tmp_path / "file" / "home").state == "fail"


@pytest.mark.parametrize(("free", "state"), [(100, "fail"), (1000, "warn"), (5000, "ok")])
def test_little_room_warns_and_less_fails(monkeypatch, tmp_path, free, state):
    usage = SimpleNamespace(free=free * MB)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _place: usage)
    assert checks.disk(tmp_path).state == state
    monkeypatch.setattr(checks, "available", lambda: free * MB)
    assert checks.memory().state == state


def test_a_container_has_the_memory_it_was_given(tmp_path):
    assert checks.available(tmp_path / "none") > 0
    (tmp_path / "memory.max").write_text(f"{20 * MB}\n")
    (tmp_path / "memory.current").write_text(f"{15 * MB}\n")
    assert checks.available(tmp_path) == 5 * MB
    (tmp_path / "memory.max").write_text("max\n")
    assert checks.available(tmp_path) > 5 * MB


def test_shared_memory_that_is_too_small_warns(tmp_path):
    assert checks.shared_memory(1, tmp_path).state == "ok"
    assert checks.shared_memory(1 << 60, tmp_path).state == "warn"
    assert checks.shared_memory(1, tmp_path / "none").state == "ok"


def test_whatever_is_wrong_has_a_remedy(tmp_path):
    settings = Settings.model_validate({"home": tmp_path})
    findings = list(checks.examine(settings, runs=False))
    assert [found for found in findings if found.state != "ok" and not found.remedy] == []


def test_an_attached_instance_needs_no_programs_here(tmp_path):
    settings = Settings.model_validate({"home": tmp_path, "lifetime": "attached"})
    names = {found.check for found in checks.examine(settings, runs=False)}
    assert not names & {"PostgreSQL", "Valkey", "HAProxy"}
