"""`cartrita login`, `logout` and `whoami`."""

import sys
from typing import Annotated

import typer

from cartrita.cli.connection import RETRIES, connect, find, sessions_of
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, print_json
from cartrita.client import Client


def login(
    ctx: typer.Context,
    *,
    email: Annotated[str, typer.Option(prompt="E-mail", help="Of the account.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sign in, for the commands that follow."""
    password = (
        sys.stdin.readline().rstrip("\r\n")
        if password_stdin
        else typer.prompt("Password", hide_input=True)
    )
    place = find(options_of(ctx))
    sessions = sessions_of(place)
    with Client(place.url, retries=RETRIES, sessions=sessions, ca=place.ca) as client:
        account = client.login(email, password)
    if as_json:
        print_json(account.to_wire())
    else:
        typer.echo(f"Signed in to {place.url} as {account.email} ({account.role}).")


def logout(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """End the session that commands share, here and at the server.

    CARTRITA_TOKEN and the administrator's credentials on this machine stay what they are.
    """
    place = find(options_of(ctx))
    with Client(place.url, retries=RETRIES, sessions=sessions_of(place)) as client:
        ended = client.logout()
    if as_json:
        print_json({"url": place.url, "signedOut": ended})
    else:
        typer.echo(f"{'Signed out of' if ended else 'There is no session at'} {place.url}.")


def whoami(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Tell who commands are signed in as."""
    with connect(options_of(ctx)) as client:
        account, url = client.me(), client.base_url
    if as_json:
        print_json({**account.to_wire(), "url": url})
    else:
        typer.echo(f"{account.email} ({account.role}) at {url}")
