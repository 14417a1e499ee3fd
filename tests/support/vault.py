"""A store of users' keys in this process."""

from cartrita.storage.memory_vault import InMemoryVaultBook, InMemoryVaultKeys
from cartrita.vault.desk import VaultDesk
from cartrita.vault.sealing import Seal
from tests.support.runtime import AuditOf

MASTER = bytes(range(32))


def vault_of(users, bridge, clock):
    """Make a store of these users' keys."""
    keys = InMemoryVaultKeys(users)
    book = InMemoryVaultBook(users, keys)
    return VaultDesk(keys, book, AuditOf(bridge), Seal(MASTER), clock)
