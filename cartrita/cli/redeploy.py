"""`cartrita redeploy`."""

import typer

from cartrita.cli import attached
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, print_json
from cartrita.cli.owner_socket import ask
from cartrita.config.load import load_settings
from cartrita.errors import ServiceUnavailable
from cartrita.instance import paths_of, running

TIMEOUT = 600.0
ORDER = "redeploy"


def redeploy(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Replace the gateways one after another, under load and without a failed request.

    The new ones run the code that is installed now. The tree and its tasks stay.
    """
    settings = load_settings(options_of(ctx).overrides)
    if settings.embedded:
        paths = paths_of(settings)
        if running(paths) is None:
            raise ServiceUnavailable(
                f"No instance runs in {str(paths.home)!r}: start one with `cartrita up`."
            )
        ask(paths, ORDER, TIMEOUT)
    else:
        attached.redeploy(settings)
    if as_json:
        print_json({"redeployed": True})
    else:
        typer.echo("The gateways are replaced.")
