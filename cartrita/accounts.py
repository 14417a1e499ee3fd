"""Opens the accounts and sessions that the settings name."""

import asyncpg

from cartrita.auth.apikeys import KeyDesk
from cartrita.auth.identity import Identity, Rules
from cartrita.auth.keys import KeyRing, open_keys
from cartrita.auth.passwords import Passwords
from cartrita.auth.tokens import Tokens
from cartrita.auth.v2_tokens import V2Tokens
from cartrita.clock import Clock
from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.people.desk import Cupboard, PeopleDesk
from cartrita.storage.postgres.documents import PostgresDocuments
from cartrita.storage.postgres.keys import PostgresKeys
from cartrita.storage.postgres.people import PostgresPeople
from cartrita.storage.postgres.runtime import PostgresAudit
from cartrita.storage.postgres.said import PostgresHistory
from cartrita.storage.postgres.users import PostgresUsers


def key_desk(settings: Settings, pool: asyncpg.Pool, clock: Clock) -> KeyDesk:
    """Return API keys over a database."""
    ttl = settings.auth.revocation_ttl_s
    return KeyDesk(PostgresKeys(pool), PostgresAudit(pool), clock, ttl, settings.auth.key_days)


def identity(
    settings: Settings, pool: asyncpg.Pool, clock: Clock, desk: KeyDesk | None = None
) -> tuple[Identity, KeyRing]:
    """Return accounts and sessions over a database, and the keys that sign.

    Args:
        settings: Name the files of those keys, and how long all is good.
        pool: Connections to the migrated database.
        clock: When is now.
        desk: Knows API keys; without it, none is accepted.
    """
    auth = settings.auth
    keys = (
        KeyRing(auth.private_key_path, clock)
        if auth.private_key_path
        else open_keys(settings.home / "keys", clock)
    )
    tokens = Tokens(keys, clock=clock, access_ttl=auth.access_ttl_s)
    secret = text_of(auth.jwt_secret)
    v2 = V2Tokens(secret, clock) if auth.accept_v2_tokens and secret else None
    rules = Rules(auth.refresh_ttl_s, auth.revocation_ttl_s, settings.registration_open)
    return Identity(PostgresUsers(pool), tokens, Passwords(), clock, rules, v2, keys=desk), keys


def people_desk(settings: Settings, pool: asyncpg.Pool, who: Identity, clock: Clock) -> PeopleDesk:
    """Return accounts as v2's clients know them, over a database."""
    kept = Cupboard(PostgresDocuments(pool), PostgresHistory(pool))
    return PeopleDesk(who, PostgresPeople(pool), kept, clock, settings.auth.v2_access_ttl_s)
