"""`cartrita login`."""

import sys
from typing import Annotated

import typer

from cartrita.cli.connection import RETRIES, find, sessions_of
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
