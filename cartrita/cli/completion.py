"""`cartrita completion`."""

from typing import Annotated, Literal

import typer
from typer.completion import show_callback


def completion(
    ctx: typer.Context,
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Of your terminal.")],
) -> None:
    """Print the completion of a shell, which knows task types, too.

    For bash: `source <(cartrita completion bash)`, or as a file in
    `~/.local/share/bash-completion/completions/cartrita`. For zsh the same, or as `_cartrita`
    in a folder of `fpath`. For fish: `cartrita completion fish | source`, or as
    `~/.config/fish/completions/cartrita.fish`.
    """
    show_callback(ctx, ctx.command.params[0], shell)
