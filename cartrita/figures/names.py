"""Names of columns, as SQL takes them."""


def quoted(name: str) -> str:
    """Return a name that is only a name in SQL, whatever stands in it."""
    return '"' + name.replace('"', '""') + '"'
