"""Orders from one process of a user to the owner of an instance."""

import asyncio

import pytest

from cartrita.cli.owner_socket import ask, obeying, socket_of
from cartrita.errors import ConfigurationInvalid, InternalFailure, ServiceUnavailable
from cartrita.instance import Paths


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    return Paths(tmp_path, tmp_path.relative_to(tmp_path))


async def asked(paths, order, timeout=5.0):
    await asyncio.to_thread(ask, paths, order, timeout)


async def test_an_order_is_carried_out_before_the_answer_comes(paths):
    done = []

    async def obey(order):
        await asyncio.sleep(0.05)
        done.append(order)

    async with obeying(paths, obey):
        assert socket_of(paths).stat().st_mode & 0o777 == 0o600
        await asked(paths, "redeploy")
        assert done == ["redeploy"]
    assert not socket_of(paths).exists()


async def test_what_goes_wrong_is_told_in_the_owners_words(paths):
    async def obey(order):
        raise ConfigurationInvalid(f"There is no {order!r}.")

    async with obeying(paths, obey):
        with pytest.raises(ServiceUnavailable, match="There is no 'dance'"):
            await asked(paths, "dance")


async def test_an_owner_that_takes_too_long_or_is_away_is_not_waited_for(paths):
    async def obey(order):
        await asyncio.Event().wait()

    async with obeying(paths, obey):
        with pytest.raises(ServiceUnavailable, match="not done"):
            await asked(paths, "wait", 0.1)
    with pytest.raises(ServiceUnavailable, match="does not listen"):
        await asked(paths, "wait")


async def test_an_owner_that_ends_before_it_is_done_is_told_from_one_that_is_done(paths):
    async def hang_up(reader, writer):
        writer.close()

    async with await asyncio.start_unix_server(hang_up, socket_of(paths)):
        with pytest.raises(InternalFailure, match="ended"):
            await asked(paths, "redeploy")


async def test_whoever_says_nothing_is_hung_up_on(paths, monkeypatch):
    monkeypatch.setattr("cartrita.cli.owner_socket.READ_TIMEOUT", 0.05)

    async def obey(order):
        raise AssertionError(order)

    async with obeying(paths, obey):
        reader, writer = await asyncio.open_unix_connection(socket_of(paths))
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
