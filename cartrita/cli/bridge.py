"""`cartrita bridge`."""

import typer

from cartrita.cli.import_users import import_users

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def bridge() -> None:
    """Move from v2: compare, share out, go back."""


app.command("import-users")(import_users)
