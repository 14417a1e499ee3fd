"""Keeps secrets out of what is written down: by the names they have, and by their looks."""

import re

HIDDEN = "<SECRET>"

_NAMES = re.compile(
    r"passw(or)?d|passphrase|secret|credential|authorization|cookie|api_?-?key|private_?-?key"
    r"|(?:^|[_-])(?:token|key)$|Token$",
    re.IGNORECASE,
)
_LOOKS = re.compile(
    r"""
      \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}                     # a signed token
    | \b(?:sk|pk|rk|hf|xai|ghp|gho|ghs|github_pat|whsec|tvly)[-_][A-Za-z0-9_-]{16,}
    | \bAKIA[0-9A-Z]{16}\b
    | (?<=[Bb]earer\ )[\w.~+/=-]{8,}
    | (?<=://)[^\s/:@]{0,256}:[^\s/@]{1,256}(?=@)              # user and password in a URL
    | -----BEGIN\ [A-Z\ ]{0,30}PRIVATE\ KEY-----[\s\S]{0,10000}?-----END
    """,
    re.VERBOSE,
)


def is_secret(name: str) -> bool:
    """Tell whether what has this name is nobody's to read."""
    return _NAMES.search(name) is not None


def without_secrets(text: str) -> str:
    """Return a text with what looks like a secret replaced for good."""
    return _LOOKS.sub(HIDDEN, text)
