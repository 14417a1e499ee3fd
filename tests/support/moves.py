"""The desk of the move from v2, for gateways of tests."""

from cartrita.storage.memory_bridge import InMemoryComparisons, InMemorySwitches
from cartrita.storage.memory_runtime import InMemoryAudit
from serve_apps.bridge.canary.desk import Books, MigrationDesk, Wishes
from serve_apps.bridge.table import load


def books_in_memory():
    return Books(InMemorySwitches(), InMemoryComparisons(), InMemoryAudit())


def desk_without_v2(clock, books=None):
    return MigrationDesk(books or books_in_memory(), Wishes(), load, clock, look=0.01)
