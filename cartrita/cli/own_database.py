"""Tells where an instance keeps its data, for commands that go there themselves."""

from cartrita.config.kinds import text_of
from cartrita.config.settings import Settings
from cartrita.errors import ServiceUnavailable
from cartrita.instance import paths_of, running
from cartrita.openers.vault import PROVIDERS, resolved
from cartrita.storage.embedded.postgres import EmbeddedPostgres


def database_url(settings: Settings) -> str:
    """Return the database of these settings: an outside one, or that of the instance that runs.

    Raises:
        ServiceUnavailable: No instance runs, or the vault that has the address is away.
    """
    outside = text_of(resolved(settings, PROVIDERS).postgres.dsn)
    if outside is not None:
        return outside
    paths = paths_of(settings)
    if running(paths) is None:
        raise ServiceUnavailable(
            f"No instance runs in {str(paths.home)!r}: start it with `cartrita up`."
        )
    return EmbeddedPostgres(paths.home / "postgres", paths.runtime, settings.postgres.port).url
