"""Tests of what EmbeddedPostgres tells a keeper."""

import os
from pathlib import Path

import pytest

from cartrita.errors import ConfigurationInvalid
from cartrita.storage.embedded.postgres import EmbeddedPostgres


@pytest.fixture
def postgres(tmp_path):
    return EmbeddedPostgres(tmp_path / "data", Path("/tmp/run dir"), 5435)


def test_the_kernel_stops_it_the_way_the_keeper_does(postgres):
    spec = postgres.spec()
    assert (spec.stop_signal, spec.death_signal) == ("SIGINT", "SIGINT")


def test_it_listens_on_the_loopback_address_and_a_private_socket_only(postgres):
    argv = postgres.spec().argv
    assert "listen_addresses=127.0.0.1" in argv
    assert "unix_socket_permissions=0700" in argv
    assert 'unix_socket_directories="/tmp/run dir"' in argv


def test_it_gets_a_user_namespace_exactly_when_we_are_root(postgres, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not postgres.spec().user_namespace
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert postgres.spec().user_namespace


def test_the_address_needs_a_prepared_directory(postgres):
    with pytest.raises(ConfigurationInvalid, match="prepare the server first"):
        _ = postgres.url


async def test_a_long_runtime_directory_is_refused_before_anything_is_made(tmp_path):
    postgres = EmbeddedPostgres(tmp_path / "data", tmp_path / ("d" * 100), 5435)
    with pytest.raises(ConfigurationInvalid, match="shorter runtime directory"):
        await postgres.prepare()
    assert list(tmp_path.iterdir()) == []


async def test_a_directory_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").write_text("42")
    postgres = EmbeddedPostgres(tmp_path / "data", tmp_path, 5435)
    with pytest.raises(ConfigurationInvalid, match="not empty"):
        await postgres.prepare()
    assert (tmp_path / "data" / "thesis.tex").read_text() == "42"


async def test_a_cluster_of_another_version_is_refused(tmp_path):
    (tmp_path / "data" / "cluster").mkdir(parents=True)
    (tmp_path / "data" / "cluster" / "PG_VERSION").write_text("15\n")
    postgres = EmbeddedPostgres(tmp_path / "data", tmp_path, 5435)
    with pytest.raises(ConfigurationInvalid, match="made by PostgreSQL 15"):
        await postgres.prepare()
