"""Tests of the embedded PostgreSQL and Valkey: secrets, crashes, recoveries."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import psutil
import pytest
import redis.asyncio
import redis.exceptions

from cartrita.errors import ConfigurationInvalid, ServiceUnavailable
from cartrita.storage.embedded.keeping import Keeper
from cartrita.storage.embedded.postgres import EmbeddedPostgres
from cartrita.storage.embedded.valkey import EmbeddedValkey
from tests.support.database import free_ports, hasty
from tests.support.processes import alive, all_gone, eventually

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runtime():
    with tempfile.TemporaryDirectory(prefix="ctt-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture
async def keeper(tmp_path):
    launched = await Keeper.launch(log_path=tmp_path / "keeper.log")
    yield launched
    await launched.close()


@pytest.fixture
async def postgres(tmp_path, runtime):
    server = EmbeddedPostgres(tmp_path / "postgres", runtime, *free_ports(1))
    await server.prepare()
    return server


@asynccontextmanager
async def connected(url):
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def serve(keeper, server):
    state = await keeper.start(hasty(server.spec()))
    await server.wait_ready()
    return state


async def keep_rows(url, count=1000):
    async with connected(url) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, $1)", count)


async def kept_rows(url):
    async with connected(url) as connection:
        return await connection.fetchval("SELECT count(*) FROM kept")


async def restarted(keeper):
    async with asyncio.timeout(20):
        async for event in keeper.events():
            if event.event == "restarted":
                return event
    raise AssertionError("the keeper died")


def with_password(url, password):
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{parts.username}:{password}@{host}").geturl()


def arguments_below(pid):
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # PostgreSQL's workers come and go
            yield " ".join(process.cmdline())


async def test_postgres_16_has_checksums_utf_8_and_half_precision_vectors(services):
    async with connected(services.postgres_url) as connection:
        assert connection.get_server_version().major == 16
        for name, value in {
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "synchronous_commit": "on",
            "jit": "off",
            "TimeZone": "UTC",
        }.items():
            assert await connection.fetchval("SELECT current_setting($1)", name) == value
        near = await connection.fetchval("SELECT '[1,2]'::halfvec(2) <-> '[1,4]'::halfvec(2)")
        assert near == 2.0


@pytest.mark.parametrize("address", ["url", "tcp_url", "admin_url"])
async def test_a_wrong_password_is_refused_on_every_way_in(services, address):
    url = getattr(services.postgres, address)
    async with connected(url) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    for wrong in ("wrong", ""):
        with pytest.raises(asyncpg.PostgresError):
            await asyncpg.connect(with_password(url, wrong))


async def test_passwords_are_stored_as_scram(services):
    async with connected(services.postgres.admin_url) as connection:
        stored = await connection.fetch("SELECT rolpassword FROM pg_authid WHERE rolcanlogin")
        assert len(stored) == 2
        assert all(row["rolpassword"].startswith("SCRAM-SHA-256$") for row in stored)


async def test_the_role_of_the_address_is_no_superuser(services):
    async with connected(services.postgres_url) as connection:
        assert await connection.fetchval("SELECT current_setting('is_superuser')") == "off"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("COPY (SELECT 1) TO PROGRAM 'true'")


async def test_nobody_can_read_a_password_in_the_arguments_of_a_process(services):
    arguments = "\n".join(arguments_below(services.keeper.pid))
    addresses = (services.postgres_url, services.postgres.admin_url, services.redis_url)
    for url in addresses:
        assert urlsplit(url).password not in arguments
    assert "valkey-server" in arguments


async def test_postgres_listens_on_the_loopback_address_only(services):
    port = urlsplit(services.postgres.tcp_url).port
    listening = [c for c in psutil.net_connections("tcp") if c.status == "LISTEN"]
    assert {c.laddr.ip for c in listening if c.laddr.port == port} == {"127.0.0.1"}


async def test_valkey_answers_on_both_ways_in_and_refuses_a_wrong_password(services):
    for url in (services.redis_url, services.valkey.tcp_url):
        async with redis.asyncio.Redis.from_url(url) as client:
            assert await client.set("key", "value", px=10_000)
            assert await client.get("key") == b"value"
        secret = urlsplit(url).password
        async with redis.asyncio.Redis.from_url(url.replace(secret, "wrong")) as client:
            with pytest.raises(redis.exceptions.ConnectionError, match="invalid username-password"):
                await client.ping()


async def test_rows_survive_the_kill_of_the_postmaster(keeper, postgres):
    state = await serve(keeper, postgres)
    await keep_rows(postgres.url)
    os.kill(state.pid, signal.SIGKILL)
    event = await restarted(keeper)
    await postgres.wait_ready()
    assert event.pid != state.pid
    assert await kept_rows(postgres.url) == 1000


async def test_a_query_that_outlives_its_postmaster_does_not_stop_the_restart(keeper, postgres):
    state = await serve(keeper, postgres)
    async with connected(postgres.url) as connection:
        backend = connection.get_server_pid()
        counting = asyncio.create_task(
            connection.fetchval("SELECT count(*) FROM generate_series(1, 1000000000) AS n")
        )
        worker = psutil.Process(backend)
        assert await eventually(lambda: worker.cpu_times().user > 0.2, within=10)
        os.kill(state.pid, signal.SIGKILL)
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await asyncio.wait_for(counting, 20)
    await postgres.wait_ready()
    assert not alive(backend)
    [now] = await keeper.states()
    assert (now.state, now.restarts) == ("up", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS cannot find what detached itself")
async def test_nothing_outlives_a_killed_owner_and_the_next_start_recovers(
    keeper, tmp_path, runtime
):
    ports = [str(port) for port in free_ports(2)]
    argv = [sys.executable, "-m", "tests.support.owner", str(tmp_path), str(runtime), *ports]
    owner = await asyncio.create_subprocess_exec(*argv, cwd=ROOT, stdout=subprocess.PIPE)
    told = json.loads(await asyncio.wait_for(owner.stdout.readline(), 60))
    pids = told["pids"]
    bystander = pids.pop("bystander")
    assert set(pids) == {"postgres", "valkey", "shell", "grandchild", "keeper"}
    backends = [p.pid for p in psutil.Process(pids["postgres"]).children()]
    try:
        await keep_rows(told["url"])
        owner.kill()
        await owner.wait()
        assert await all_gone([*pids.values(), *backends], within=5)
        # A fork of the owner still holds its end of the pipe, and changed nothing.
        assert alive(bystander)
    finally:
        os.kill(bystander, signal.SIGKILL)
    again = EmbeddedPostgres(tmp_path / "postgres", runtime, int(ports[0]))
    await again.prepare()
    await serve(keeper, again)
    assert await kept_rows(again.url) == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has no PDEATHSIG")
async def test_both_servers_die_with_a_killed_keeper(tmp_path, runtime, postgres):
    keeper = await Keeper.launch(log_path=tmp_path / "keeper.log")
    valkey = EmbeddedValkey(tmp_path / "valkey", runtime, *free_ports(1))
    await valkey.prepare()
    await keeper.start(valkey.spec())
    await valkey.wait_ready()
    await serve(keeper, postgres)
    family = psutil.Process(keeper.pid).children(recursive=True)
    assert len(family) > 5
    os.kill(keeper.pid, signal.SIGKILL)
    await asyncio.wait_for(keeper.died.wait(), 5)
    assert await all_gone([process.pid for process in family], within=5)
    await keeper.close()


async def test_two_instances_run_side_by_side(keeper, tmp_path, runtime):
    servers = [
        EmbeddedPostgres(tmp_path / f"postgres{port}", runtime, port) for port in free_ports(2)
    ]
    for number, server in enumerate(servers):
        await server.prepare()
        await keeper.start(replace(hasty(server.spec()), name=f"postgres{number}"))
    for number, server in enumerate(servers, start=1):
        await server.wait_ready()
        await keep_rows(server.url, number)
    assert [await kept_rows(server.url) for server in servers] == [1, 2]


async def test_a_taken_port_is_refused_by_the_name_of_its_setting(tmp_path, runtime):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationInvalid, match="CARTRITA_POSTGRES__PORT"):
            await EmbeddedPostgres(tmp_path / "postgres", runtime, port).prepare()
        with pytest.raises(ConfigurationInvalid, match="CARTRITA_REDIS__PORT"):
            await EmbeddedValkey(tmp_path / "valkey", runtime, port).prepare()


async def test_a_lock_file_of_a_dead_server_is_no_obstacle(keeper, postgres, tmp_path, runtime):
    # After a power cut the pid in it may belong to anybody: here, to this very process.
    lock = tmp_path / "postgres" / "cluster" / "postmaster.pid"
    port = urlsplit(postgres.tcp_url).port
    stale = f"{os.getpid()}\n{lock.parent}\n1700000000\n{port}\n{runtime}\n127.0.0.1\n"
    lock.write_text(stale)
    (runtime / f".s.PGSQL.{port}.lock").write_text(stale)
    (runtime / f".s.PGSQL.{port}").touch()
    await postgres.prepare()
    await serve(keeper, postgres)
    async with connected(postgres.url) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_directory_that_is_served_is_refused(keeper, postgres, tmp_path, runtime):
    state = await serve(keeper, postgres)
    twin = EmbeddedPostgres(tmp_path / "postgres", runtime, *free_ports(1))
    twin._files.free = lambda _: type(twin._files).free(twin._files, 0.0)
    with pytest.raises(ConfigurationInvalid, match="end that instance"):
        await twin.prepare()
    assert alive(state.pid)


async def test_a_half_made_cluster_is_made_again(keeper, tmp_path, runtime):
    draft = tmp_path / ".postgres.making" / "cluster"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("16\n")
    server = EmbeddedPostgres(tmp_path / "postgres", runtime, *free_ports(1))
    await server.prepare()
    await serve(keeper, server)
    assert not draft.exists()
    assert (tmp_path / "postgres" / "cluster").stat().st_mode & 0o777 == 0o700


async def test_preparing_twice_changes_nothing(postgres, tmp_path):
    before = postgres.url
    made = (tmp_path / "postgres" / "cluster" / "PG_VERSION").stat().st_mtime_ns
    await postgres.prepare()
    assert postgres.url == before
    assert (tmp_path / "postgres" / "cluster" / "PG_VERSION").stat().st_mtime_ns == made


async def test_a_foreign_secret_is_named(keeper, postgres, tmp_path):
    await keeper.start(postgres.spec())
    (tmp_path / "postgres" / "admin.secret").write_text("of another directory")
    with pytest.raises(ConfigurationInvalid, match="put back the files"):
        await postgres.wait_ready()


async def test_a_valkey_with_another_secret_is_named(keeper, tmp_path, runtime):
    port = free_ports(1)[0]
    ours, theirs = (EmbeddedValkey(tmp_path / name, runtime, port) for name in ("ours", "theirs"))
    await ours.prepare()
    await theirs.prepare()
    await keeper.start(theirs.spec())
    await theirs.wait_ready()
    with pytest.raises(ConfigurationInvalid, match="another password"):
        await ours.wait_ready()


async def test_a_server_that_does_not_come_up_shows_the_end_of_its_log(keeper, postgres):
    spec = postgres.spec()
    await keeper.start(replace(spec, argv=(*spec.argv, "-c", "no_such_setting=1")))
    with pytest.raises(ServiceUnavailable, match=r"within 1\.0 s.*(?s:.*)no_such_setting"):
        await postgres.wait_ready(1.0)


async def test_a_path_with_blanks_works(keeper, tmp_path, runtime):
    spaced = runtime / "a b"
    server = EmbeddedPostgres(tmp_path / "my data", spaced, *free_ports(1))
    cache = EmbeddedValkey(tmp_path / "my cache", spaced, *free_ports(1))
    await server.prepare()
    await cache.prepare()
    await keeper.start(cache.spec())
    await cache.wait_ready()
    await serve(keeper, server)
    assert quote(str(spaced), safe="") in server.url
    async with connected(server.url) as connection:
        assert await connection.fetchval("SELECT 1") == 1
