"""The databases of an embedded instance, and the account that is there from the start."""

import json
from collections.abc import Callable

import asyncpg

from cartrita.accounts import identity
from cartrita.clock import Clock
from cartrita.config.settings import Settings
from cartrita.instance import Paths, replace_file
from cartrita.storage.embedded.keeping import Keeper
from cartrita.storage.embedded.postgres import EmbeddedPostgres
from cartrita.storage.embedded.valkey import EmbeddedValkey
from cartrita.storage.postgres.migrate import migrate


async def start_databases(
    settings: Settings, paths: Paths, keeper: Keeper, say: Callable[[str], None]
) -> tuple[str, str]:
    """Start the databases that nobody else runs; returns where Postgres and Valkey are."""
    where = await _postgres(settings, paths, keeper, say)
    cache = await _valkey(settings, paths, keeper, say)
    say("migrations")
    await migrate(where)
    return where, cache


async def _postgres(
    settings: Settings, paths: Paths, keeper: Keeper, say: Callable[[str], None]
) -> str:
    outside = settings.postgres.dsn
    if outside is not None:
        return outside.get_secret_value()
    say("postgres")
    server = EmbeddedPostgres(paths.home / "postgres", paths.runtime, settings.postgres.port)
    await server.prepare()
    await keeper.start(server.spec())
    await server.wait_ready()
    return server.url


async def _valkey(
    settings: Settings, paths: Paths, keeper: Keeper, say: Callable[[str], None]
) -> str:
    outside = settings.redis.dsn
    if outside is not None:
        return outside.get_secret_value()
    say("valkey")
    server = EmbeddedValkey(paths.home / "valkey", paths.runtime, settings.redis.port)
    await server.prepare()
    await keeper.start(server.spec())
    await server.wait_ready()
    return server.url


async def see_to_admin(
    settings: Settings, paths: Paths, clock: Clock, tell_password: Callable[[str, str], None]
) -> None:
    """See to the administrator's account, and to a session for this machine's commands."""
    postgres, admin = settings.postgres.dsn, settings.admin
    assert postgres is not None
    async with asyncpg.create_pool(postgres.get_secret_value(), min_size=1, max_size=1) as pool:
        who, _ = identity(settings, pool, clock)
        given = admin.password.get_secret_value() if admin.password else None
        password = await who.ensure_admin(admin.email, given)
        if password:
            tell_password(admin.email, password)
        session = await who.sign_in_owner(admin.email)
    kept = {"token": session.token, "refreshToken": session.refresh_token}
    replace_file(paths.home / "session.json", json.dumps(kept))
