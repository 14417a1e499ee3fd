"""Exit codes, and the one line that goes with them."""

from enum import IntEnum

from cartrita.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    CartritaError,
    ConfigurationInvalid,
    NotFound,
)


class Exit(IntEnum):
    """What a script can rely on."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    AUTHENTICATION = 4
    INTERRUPTED = 130
    PIPE = 141


MEANINGS = {
    Exit.OK: "It was done; a task that was run completed.",
    Exit.FAILED: "A task ended otherwise than by completing, a part of a command's target could "
    "not do it, a check did not hold, or a question was answered with no.",
    Exit.USAGE: "The command line or a setting is wrong.",
    Exit.REFUSED: "The server refused or could not be reached, or it took too long.",
    Exit.AUTHENTICATION: "You are not signed in, or may not do this.",
    Exit.INTERRUPTED: "Ctrl-C; tasks that were accepted go on.",
    Exit.PIPE: "Whoever read the output went away, as `head` does.",
}
"""What the reference says of each."""


def exit_of(error: CartritaError) -> Exit:
    """Return the exit code of an error."""
    if isinstance(error, ConfigurationInvalid):
        return Exit.USAGE
    if isinstance(error, NotFound):
        return Exit.REFUSED
    if isinstance(error, AuthenticationFailed | AuthorizationFailed):
        return Exit.AUTHENTICATION
    return Exit.REFUSED


def line_of(error: CartritaError) -> str:
    """Return what the user reads: what is wrong, and what to do."""
    parts = [error.message, *_fields(error)]
    if isinstance(error, AuthenticationFailed):
        parts.append("Sign in with `cartrita login`, or set CARTRITA_TOKEN.")
    parts += [f"({note})" for note in getattr(error, "__notes__", ())]
    return " ".join(parts)


def _fields(error: CartritaError) -> list[str]:
    """Return what the message does not say of the fields yet."""
    if isinstance(error, ConfigurationInvalid):  # its message is made of them
        return []
    news = [f"{name}: {text}" for name, text in error.fields if text not in error.message]
    return [f"({'; '.join(news)})"] if news else []
