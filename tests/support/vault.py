"""A store of users' keys in this process."""

from cartrita.storage.memory_vault import InMemoryVaultBook, InMemoryVaultKeys
from cartrita.vault.desk import VaultDesk
from cartrita.vault.sealing import Seal
from tests.support.runtime import AuditOf

MASTER = bytes(range(32))


def vault_of(stand):
    """Make the store of a gateway's stand, and let its tests look into it as `keystore`."""
    keys = InMemoryVaultKeys(stand.users)
    book = InMemoryVaultBook(stand.users, keys)
    stand.keystore = VaultDesk(keys, book, AuditOf(stand.bridge), Seal(MASTER), stand.clock)
    return stand.keystore
