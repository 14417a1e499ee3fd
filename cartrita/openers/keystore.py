"""Opens what keeps users' keys, as the settings have it."""

import asyncpg

from cartrita.clock import Clock
from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.egress.client import Bounds, Egress
from cartrita.egress.policy import public
from cartrita.storage.postgres.runtime import PostgresAudit
from cartrita.storage.postgres.vaultbook import PostgresVaultBook
from cartrita.storage.postgres.vaultkeys import PostgresVaultKeys
from cartrita.vault.checking import ByHttp
from cartrita.vault.desk import VaultDesk
from cartrita.vault.sealing import Seal, key_of, made_in

FOLDER = "keystore"
LONGEST_ANSWER = 1 << 20


def open_keystore(settings: Settings, pool: asyncpg.Pool, clock: Clock) -> VaultDesk:
    """Return what keeps users' keys; without a master key it says so when it is asked."""
    egress, chosen = settings.egress, settings.keystore
    asks = Egress(
        public(egress.allow, egress.ports, egress.hosts),
        user_agent=egress.user_agent,
        bounds=Bounds(min(egress.max_bytes, LONGEST_ANSWER), egress.timeout_s, redirects=0),
    )
    return VaultDesk(
        PostgresVaultKeys(pool),
        PostgresVaultBook(pool),
        PostgresAudit(pool),
        master_of(settings),
        clock,
        ByHttp(asks),
        most=chosen.most_per_user,
    )


def master_of(settings: Settings) -> Seal | None:
    """Return the master key that seals, made on first use where one process owns everything.

    Raises:
        ConfigurationInvalid: What is set or there is none.
    """
    chosen = settings.keystore
    before = (text_of(chosen.previous_keys) or "").split(",")
    previous = [key_of(text, "keystore.previous_keys") for text in before if text.strip()]
    if text := text_of(chosen.master_key):
        return Seal(key_of(text, "keystore.master_key"), previous)
    if settings.embedded:
        return Seal(made_in(settings.home / FOLDER), previous)
    return None
